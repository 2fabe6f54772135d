import assert from "node:assert/strict";
import { test } from "node:test";
import { isOn, readPodmanOptions } from "./podman-options.ts";

function read(...list: string[]): { options: string[]; stray: string[]; joined: string[] } {
  const { options, stray, joined } = readPodmanOptions(list);
  return {
    options: options.map(({ name, value, index }) => `${index} ${name}=${value}`),
    stray: stray.map(({ text, index }) => `${index} ${text}`),
    joined: joined.map(({ text, index }) => `${index} ${text}`),
  };
}

test("readPodmanOptions() reads values as Podman does", () => {
  assert.deepEqual(read("--volume", "/a:/b", "--volume=/c:/d", "-v", "/e:/f", "-v/g:/h", "-v=/i:/j").options, [
    "0 volume=/a:/b",
    "2 volume=/c:/d",
    "3 volume=/e:/f",
    "5 volume=/g:/h",
    "6 volume=/i:/j",
  ]);
  assert.deepEqual(read("-it", "-itv", "/a:/b", "--net", "host").options, [
    "0 interactive=",
    "0 tty=",
    "1 interactive=",
    "1 tty=",
    "1 volume=/a:/b",
    "3 network=host",
  ]);
});

test("readPodmanOptions() does not take what follows a switch for its value", () => {
  assert.deepEqual(read("--privileged", "debian", "--rm"), {
    options: ["0 privileged=", "2 rm="],
    stray: ["1 debian"],
    joined: [],
  });
  assert.deepEqual(read("--privileged=false", "--env", "--privileged").options, [
    "0 privileged=false",
    "1 env=--privileged",
  ]);
});

test("readPodmanOptions() finds an option and its value in one string", () => {
  assert.deepEqual(read("--volume /a:/b", "-v /a:/b", "--env=A=b c").joined, ["0 --volume /a:/b", "1 -v /a:/b"]);
});

test("readPodmanOptions() takes what stands behind -- for the image", () => {
  assert.deepEqual(read("--", "-"), { options: [], stray: ["0 --", "1 -"], joined: [] });
});

test("isOn() reads the values of a switch", () => {
  const on = (text: string) => isOn(readPodmanOptions([text]).options[0] ?? { name: "", value: "", index: 0 });
  assert.deepEqual(["--rm", "--rm=true", "--rm=1", "--rm=false", "--rm=0", "--rm=F"].map(on), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
