import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { idToken } from "./gitlab.ts";
import type { JobOptions } from "./job.ts";

const doorSchema = v.object({
  downscope: v.picklist(["setuid", "sudo"]),
  /** The account that GitLab Runner has. */
  runner: v.object({ name: v.string(), uid: v.number(), gid: v.number(), home: v.string() }),
  /** The directory of a staged bundle that the door is made for. */
  stage: v.string(),
  /** Address of the server, and what it signs with. */
  gitlab: v.string(),
  key: v.object({ kid: v.string(), pem: v.string() }),
});

/**
 * A door of `jacamar-auth`, for tests that were written for `jacamar --no-auth`: {@link throughDoor} makes of what they ask for the
 * same job of the same user on a system with authorisation. It comes to them in a file whose name is in `JACAMAR_TEST_DOOR`.
 */
export type TestDoor = v.InferOutput<typeof doorSchema>;

/** The door that all jobs of this process go through; undefined: none. */
export function testDoor(): TestDoor | undefined {
  const file = process.env["JACAMAR_TEST_DOOR"];
  return file === undefined ? undefined : v.parse(doorSchema, JSON.parse(readFileSync(file, "utf8")));
}

/** What the driver is given for the same job behind a door. A test that names a runner or options of its own keeps them. */
export function throughDoor(options: JobOptions, id: number): JobOptions {
  const door = testDoor();
  if (door === undefined || options.runner !== undefined || options.before !== undefined) return options;
  if (basename(options.jacamar) !== "jacamar") throw new Error(`${options.jacamar} has no door`);
  const general = `[general]\ngitlab_server = "${door.gitlab}"\njwt_env_variable = "SITE_ID_TOKEN"`;
  const auth = `\n[auth]\ndownscope = "${door.downscope}"\n[auth.logging]\nenabled = false\n`;
  return {
    ...options,
    jacamar: join(dirname(options.jacamar), "jacamar-auth"),
    runner: door.runner,
    before: [],
    configuration: options.configuration.replace(/^\[general\]$/m, general) + auth,
    variables: {
      SITE_ID_TOKEN: idToken(door.gitlab, door.key, { jobId: id, login: options.user.name }),
      ...options.variables,
    },
  };
}
