import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cancelAndVerify } from "./cancel.ts";
import type { Answer, SchedulerId } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { toId as id } from "./testing/recorded.ts";
import { scripted } from "./testing/scripted-calls.ts";

const answer = (exitCode: number | undefined, stdout: string, stderr = ""): Answer => ({ exitCode, stdout, stderr });
const away = answer(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n");
const none = answer(0, "");

async function cancel(ids: readonly SchedulerId[], squeue: readonly Answer[], scancel: readonly Answer[] = [none]) {
  const calls = scripted({ squeue, scancel });
  const looks: number[] = [];
  const what = { ids, name: "jacamar-ci-7-ab", scheduler: slurm, call: calls.call, userName: "alice" };
  const count = await cancelAndVerify(what, () => looks.push(calls.made.length));
  return { count, looks: looks.length, cancelled: calls.made.filter((line) => line.startsWith("scancel")) };
}

describe("cancelAndVerify()", () => {
  test("cancels what is known, and believes it gone only when the queue says so", async () => {
    const { count, cancelled, looks } = await cancel([id("4")], [answer(0, "4\n"), answer(0, "4\n"), none]);
    assert.equal(count, 1);
    assert.deepEqual(cancelled, ["scancel 4", "scancel 4", "scancel 4"]);
    assert.equal(looks, 3);
  });

  test("cancels what it finds by the name beside what is known", async () => {
    const { count, cancelled } = await cancel([id("4")], [answer(0, "5\n6\n"), none]);
    assert.equal(count, 3);
    assert.deepEqual(cancelled, ["scancel 4", "scancel 5", "scancel 6"]);
  });

  test("takes no silence of the queue for a job that is gone", async () => {
    const { count, cancelled } = await cancel([id("4")], [away, answer(undefined, ""), answer(0, "4\n"), none]);
    assert.equal(count, 1);
    assert.equal(cancelled.length, 2);
  });

  test("goes on when the scheduler cannot be told", async () => {
    const refused = answer(8, "", "scancel: error: Kill job error on job id 4: Unable to contact slurm controller\n");
    const { cancelled } = await cancel([id("4")], [answer(0, "4\n"), none], [refused, none]);
    assert.equal(cancelled.length, 2);
  });
});
