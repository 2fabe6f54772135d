import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Still } from "./still.ts";

test("Still tells more and more seldom, and is quiet while something else is said", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let told = 0;
    const still = new Still(() => {
      told += 1;
    }, 10);
    mock.timers.tick(9000);
    still.heard();
    mock.timers.tick(9000);
    assert.equal(told, 0);
    mock.timers.tick(1000);
    assert.equal(told, 1);
    mock.timers.tick(19_000);
    assert.equal(told, 1);
    mock.timers.tick(1000);
    assert.equal(told, 2);
    still.end();
    mock.timers.tick(1_000_000);
    assert.equal(told, 2);
  } finally {
    mock.timers.reset();
  }
});
