import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readContract, requireJobResponse } from "./contract.ts";

const codes = { BUILD_FAILURE_EXIT_CODE: "1", SYSTEM_FAILURE_EXIT_CODE: "2" };

describe("readContract()", () => {
  test("reads what the runner gives", () => {
    const environment = { ...codes, BUILD_EXIT_CODE_FILE: "/t/code", JOB_RESPONSE_FILE: "/t/response.json" };
    assert.deepEqual(readContract(environment), {
      buildFailureExitCode: 1,
      systemFailureExitCode: 2,
      buildExitCodeFile: "/t/code",
      jobResponseFile: "/t/response.json",
    });
  });

  test("does without the files, also when they are empty", () => {
    for (const empty of [{}, { BUILD_EXIT_CODE_FILE: "", JOB_RESPONSE_FILE: "" }]) {
      const contract = readContract({ ...codes, ...empty });
      assert.deepEqual([contract.buildExitCodeFile, contract.jobResponseFile], [undefined, undefined]);
      assert.throws(() => requireJobResponse(contract), { code: "runner_contract", message: /JOB_RESPONSE_FILE/ });
    }
  });

  for (const text of [undefined, "", "0", "-1", "256", "01", "1.0", "1\n", " 1", "x"]) {
    test(`refuses ${JSON.stringify(text)} as an exit code`, () => {
      for (const name of Object.keys(codes)) {
        const refused = { code: "runner_contract", message: new RegExp(name), hint: /jacamar try/ };
        assert.throws(() => readContract({ ...codes, [name]: text }), refused);
      }
    });
  }

  test("takes no code from a variable of the user's", () => {
    assert.throws(() => readContract({ CUSTOM_ENV_BUILD_FAILURE_EXIT_CODE: "1", SYSTEM_FAILURE_EXIT_CODE: "2" }));
  });
});
