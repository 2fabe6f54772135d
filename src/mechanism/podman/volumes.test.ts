import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { JacamarError } from "../../error/error.ts";
import { parseVolumes, volumeArgument } from "./volumes.ts";

const wish = (text: string, name = "PODMAN_VOLUMES_0") => ({ name, text });
const argumentsOf = (...texts: string[]) =>
  parseVolumes(
    texts.map((text, index) => wish(text, `PODMAN_VOLUMES_${index}`)),
    ["/data/builds"],
  ).map(volumeArgument);

describe("parseVolumes()", () => {
  const good: [string, string][] = [
    ["/a:/b", "/a:/b"],
    ["/a:/b:ro", "/a:/b:ro"],
    ["/a:/b:ro,z", "/a:/b:ro,z"],
    [" /a:/b:Z\n", "/a:/b:Z"],
    ["/a//b/:/c//d/", "/a/b:/c/d"],
    ["/:/host", "/:/host"],
    ["/a b/'$(id)':/c d", "/a b/'$(id)':/c d"],
    ["/a:/..b/c..", "/a:/..b/c.."],
    ["/a:/device", "/a:/device"],
    ["/a:/data/builds/x", "/a:/data/builds/x"],
  ];
  for (const [text, argument] of good) {
    test(`makes ${argument} of ${JSON.stringify(text)}`, () => assert.deepEqual(argumentsOf(text), [argument]));
  }

  const bad: [string, RegExp][] = [
    ["", /it is empty/],
    [" \n", /it is empty/],
    ["/a", /no colon/],
    [":", /no source/],
    [":/b", /no source/],
    ["/a:", /no target/],
    ["/a:/b:ro:z", /more than two colons/],
    ["a:/b", /source "a" is not an absolute path/],
    ["name:/b", /not an absolute path/],
    ["~/a:/b", /not an absolute path/],
    ["/a:b", /target "b" is not an absolute path/],
    ["/a/../etc:/b", /part "\." or "\.\."/],
    ["/..:/b", /part/],
    ["/a:/b/..", /part/],
    ["/./a:/b", /part/],
    ["/a:/b:suid", /option "suid" is not allowed/],
    ["/a:/b:dev", /not allowed/],
    ["/a:/b:", /option "" is not allowed/],
    ["/a:/b:ro,", /option "" is not allowed/],
    ["/a:/b:RO", /not allowed/],
    ["/a:/b:ro, z", /option " z" is not allowed/],
    ["/a:/b:upperdir=/x", /not allowed/],
    ["/a:/b:idmap", /not allowed/],
    ["/a\n:/b", /line break/],
    ["/a:/b\n/c", /line break/],
    ["/a:/b\0", /line break/],
    ["/a:/", /the system's/],
    ["/a://", /the system's/],
    ["/a:///", /the system's/],
    ["/a:/proc", /the system's/],
    ["/a:/proc/1", /the system's/],
    ["/a://proc", /the system's/],
    ["/a:/sys/", /the system's/],
    ["/a:/dev/shm", /the system's/],
    [`/${"x".repeat(4095)}:/b`, /4096 characters/],
    ["/a:/data/builds", /target "\/data\/builds" is taken by the job itself/],
    ["/a://data//builds/", /taken by the job itself/],
  ];
  test("tells what the user has written, where the runner has put variables in", () => {
    assert.throws(() => parseVolumes([{ ...wish(":/b"), written: "$SCRATCH:/b" }], []), {
      message:
        'The volume variable PODMAN_VOLUMES_0 cannot be used: it has no source; GitLab has made it of "$SCRATCH:/b"',
      hint: /puts nothing in for a variable that it does not know, such as \$HOME/,
    });
  });

  for (const [text, why] of bad) {
    test(`refuses ${JSON.stringify(text.slice(0, 60))}`, () => {
      assert.throws(() => argumentsOf("/x:/y", text), { code: "volume_invalid", message: why });
      assert.throws(() => argumentsOf("/x:/y", text), { message: /PODMAN_VOLUMES_1 cannot be used/ });
    });
  }

  test("refuses two volumes at one place, naming both variables", () => {
    assert.throws(() => argumentsOf("/a:/t", "/b:/t/"), {
      code: "volume_invalid",
      message: /PODMAN_VOLUMES_1 .* taken by PODMAN_VOLUMES_0/,
    });
  });

  test("refuses a thousand, and keeps the order of a hundred", () => {
    const texts = (count: number) => Array.from({ length: count }, (_, index) => `/a${index}:/b${index}`);
    assert.throws(() => argumentsOf(...texts(1000)), { code: "volume_invalid", message: /1000 volume variables/ });
    assert.throws(() => argumentsOf(...texts(101)), { code: "volume_invalid" });
    assert.deepEqual(argumentsOf(...texts(100)), texts(100));
  });

  test("never gives an argument that Podman would take apart in another way", () => {
    const piece = fc.constantFrom("/", ":", ".", "a", ",", " ", "\n", "\0", "ro", "..", "/a", ":/b", "proc");
    const text = fc.oneof(
      fc.string(),
      fc.array(piece).map((pieces) => pieces.join("")),
    );
    let accepted = 0;
    fc.assert(
      fc.property(text, (written) => {
        let volumes: ReturnType<typeof parseVolumes>;
        try {
          volumes = parseVolumes([wish(written)], []);
        } catch (error) {
          assert.ok(error instanceof JacamarError);
          return;
        }
        for (const volume of volumes) {
          accepted += 1;
          const parts = volumeArgument(volume).split(":");
          assert.equal(parts.length, volume.options.length === 0 ? 2 : 3);
          assert.deepEqual(parts.slice(0, 2), [volume.source, volume.target]);
          for (const path of parts.slice(0, 2)) assert.match(path, /^\/(?:[^/\n\0]+(?:\/[^/\n\0]+)*)?$/);
          assert.notEqual(volume.target, "/");
        }
      }),
      { numRuns: 5000 },
    );
    assert.ok(accepted > 20, `only ${accepted} volumes were accepted`);
  });
});
