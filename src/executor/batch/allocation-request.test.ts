import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { allocationRequest } from "./allocation-request.ts";

const job = { projectId: 17, pipelineId: 900 };
const request = (action: string | undefined, key?: string) =>
  allocationRequest(
    action === undefined ? undefined : { name: "JACAMAR_SCHEDULER_ACTION", text: action },
    key === undefined ? undefined : { name: "JACAMAR_SCHEDULER_JOB_KEY", text: key },
    job,
    { name: "CI_PIPELINE_ID", text: "901" },
  );

describe("allocationRequest()", () => {
  for (const action of [undefined, "", "  \n"]) {
    test(`is nothing for an action of ${JSON.stringify(action)}, whatever the key`, () => {
      assert.equal(request(action, "key"), undefined);
    });
  }

  for (const action of ["allocate", "reattach", "cancel"] as const) {
    test(`has the pipeline's key for ${action} without one`, () => {
      const expected = { action, key: "ci-build-900", name: "jacamar-ci-shared-17-ci-build-900" };
      for (const key of [undefined, "", "  "]) assert.deepEqual(request(` ${action}\n`, key), expected);
    });
  }

  test("takes the pipeline from CI_PIPELINE_ID where the runner does not say it, and only there", () => {
    const older = { projectId: 17, pipelineId: 0 };
    const named = (text: string | undefined) => {
      const pipeline = text === undefined ? undefined : { name: "CI_PIPELINE_ID", text };
      return allocationRequest({ name: "A", text: "allocate" }, undefined, older, pipeline)?.name;
    };
    assert.equal(named("901"), "jacamar-ci-shared-17-ci-build-901");
    assert.match(named("$(id) x") ?? "", /^jacamar-ci-shared-17-key-[0-9a-f]{16}$/);
    assert.equal(named(undefined), "jacamar-ci-shared-17-ci-build-");
  });

  for (const action of ["Allocate", "release", "allocate cancel", "constructor", "$(id)", "x".repeat(5000)]) {
    test(`refuses ${JSON.stringify(action.slice(0, 30))}`, () => {
      assert.throws(
        () => request(action),
        (error: Error) => {
          assert.match(error.message, /JACAMAR_SCHEDULER_ACTION/);
          return "code" in error && error.code === "batch_arguments_invalid" && error.message.length < 300;
        },
      );
    });
  }

  test("keeps a plain key in the scheduler's name, and shows any other by its digest alone", () => {
    assert.equal(request("allocate", " big_1.x-y ")?.name, "jacamar-ci-shared-17-big_1.x-y");
    for (const key of ["-x", "a b", "a,b", "a\nb", "%j", "$(id)", "größe", "x".repeat(65), ".", "a|b"]) {
      const found = request("allocate", key);
      assert.match(found?.name ?? "", /^jacamar-ci-shared-17-key-[0-9a-f]{16}$/, key);
      assert.equal(found?.key, key.replace("\n", "\\x0a"));
    }
  });

  test("has another name for another project, and the same for the same key", () => {
    const other = allocationRequest(
      { name: "A", text: "reattach" },
      { name: "K", text: "k" },
      { ...job, projectId: 18 },
      undefined,
    );
    assert.equal(other?.name, "jacamar-ci-shared-18-k");
    assert.equal(request("allocate", "a b")?.name, request("cancel", "a b")?.name);
  });

  test("makes a name of any key that is one word for every scheduler", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (key) => {
        assert.match(request("allocate", key)?.name ?? "", /^jacamar-ci-shared-17-[A-Za-z0-9][A-Za-z0-9_.-]*$/);
      }),
    );
  });
});
