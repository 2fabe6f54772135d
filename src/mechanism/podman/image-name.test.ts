import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseImageName } from "./image-name.ts";

const sha256 = `sha256:${"0123456789abcdef".repeat(4)}`;

describe("parseImageName()", () => {
  const good: [string, string][] = [
    ["debian", "docker.io/library/debian"],
    ["debian:12", "docker.io/library/debian:12"],
    ["docker:dind", "docker.io/library/docker:dind"],
    ["library/debian", "docker.io/library/debian"],
    ["docker.io/debian", "docker.io/library/debian"],
    ["docker.io/library/debian:latest", "docker.io/library/debian:latest"],
    ["index.docker.io/debian", "docker.io/library/debian"],
    ["INDEX.docker.io/debian", "docker.io/library/debian"],
    ["group/app", "docker.io/group/app"],
    ["localhost/app:x", "localhost/app:x"],
    ["registry.example.com/app", "registry.example.com/app"],
    ["Registry.Example.COM/app", "registry.example.com/app"],
    ["127.0.0.1:5000/g/p/i:1.2-rc_3", "127.0.0.1:5000/g/p/i:1.2-rc_3"],
    ["host:5000/app", "host:5000/app"],
    [`a/b@${sha256}`, `docker.io/a/b@${sha256}`],
    [`r.io/a/b:1@${sha256}`, `r.io/a/b:1@${sha256}`],
    ["r.io/a__b/c-d--e/f.g", "r.io/a__b/c-d--e/f.g"],
    ["r.io/oci:1", "r.io/oci:1"],
    ["dir", "docker.io/library/dir"],
  ];
  for (const [written, qualified] of good) {
    test(`reads ${written} as ${qualified}`, () => {
      const name = parseImageName(written);
      assert.equal(name.qualified, qualified);
      assert.equal(name.written, written);
      assert.equal(name.spellings[0], written);
      assert.ok(name.spellings.includes(qualified));
    });
  }

  test("gives all spellings of one image, and of no other", () => {
    const short = ["docker.io/library/debian", "docker.io/debian", "debian", "library/debian"];
    const all = new Set(short.flatMap((name) => [name, `${name}:latest`]));
    for (const written of all) assert.deepEqual(new Set(parseImageName(written).spellings), all);
    assert.deepEqual(parseImageName("debian:12").spellings.toSorted(), short.map((name) => `${name}:12`).toSorted());
    assert.deepEqual(new Set(parseImageName("r.io/a/b").spellings), new Set(["r.io/a/b", "r.io/a/b:latest"]));
    assert.deepEqual(
      new Set(parseImageName("group/app:1").spellings),
      new Set(["group/app:1", "docker.io/group/app:1"]),
    );
    assert.deepEqual(parseImageName(`r.io/a@${sha256}`).spellings, [`r.io/a@${sha256}`]);
  });

  // An allowlist that names a registry must not let in what lies on Docker Hub, or a mirror of it, under that name.
  const disguised = [
    "docker.io/registry.example.com/app",
    "docker.io/localhost/app:1",
    "index.docker.io/library/registry.example.com/app",
    "docker.io/library/localhost/app",
    "docker.io/library/group/app",
    "library/r.io/app",
  ];
  for (const written of disguised) {
    test(`has no spelling of ${written} that is another image`, () => {
      const { spellings, qualified } = parseImageName(written);
      for (const spelling of spellings) {
        assert.equal(parseImageName(spelling).qualified.replace(/:latest$/, ""), qualified.replace(/:latest$/, ""));
      }
    });
  }

  const bad = [
    "",
    " ",
    "--privileged",
    "-v/:/host",
    "-debian",
    "x y",
    " debian",
    "debian ",
    "debian\n",
    "debian\n--privileged",
    "debian\0",
    "$(id)",
    "`id`",
    "a;b",
    "x".repeat(10_240),
    `r.io/${"x/".repeat(130)}x`,
    "Debian",
    "Foo/bar",
    "foo/Bar",
    "a/b/C",
    "..",
    "../x",
    "/x",
    "x/",
    "a//b",
    "a/./b",
    "a/../b",
    ".a/b",
    "a..b.io/x",
    "_a",
    "a_",
    "a___b",
    ":12",
    "debian:",
    "debian:.x",
    "debian:-x",
    "debian:a:b",
    `debian:${"x".repeat(129)}`,
    "host:/x",
    "host:port/x",
    "host:123456/x",
    "host:1:2/x",
    "http://r.io/x",
    "https://r.io/x",
    "docker://debian",
    "docker-archive:/file",
    "docker-archive:file",
    "docker-archive:file:tag",
    "docker-daemon:x",
    "oci:dir",
    "oci:/dir",
    "oci-archive:file",
    "dir:x",
    "dir:/x",
    "containers-storage:x",
    "containers-storage:[overlay@/x]y",
    "tarball:x",
    "sif:x",
    "ostree:x",
    "atomic:x",
    "@",
    "debian@",
    "debian@sha256",
    "debian@sha256:xyz",
    `debian@sha256:${"0".repeat(63)}`,
    `debian@sha256:${"A".repeat(64)}`,
    `debian@md5:${"0".repeat(32)}`,
    `debian@${sha256}@${sha256}`,
    "é",
    "a\u200bb",
    "user@host/x",
    "[::1]:5000/x",
  ];
  for (const written of bad) {
    test(`refuses ${JSON.stringify(written.slice(0, 60))}`, () => {
      assert.throws(
        () => parseImageName(written),
        (error: unknown) => {
          assert.ok(error instanceof Error);
          assert.match(error.message, /^The image ".*" is not the name of an image: /);
          assert.ok(error.message.length < 300, "the message repeats a long name");
          assert.doesNotMatch(error.message, /\p{Cc}/u);
          return true;
        },
      );
    });
  }

  const piece = fc.constantFrom(
    ..."a B 0 . - _ / : @ $".split(" "),
    " ",
    "\n",
    "\t",
    "\0",
    "docker.io",
    "localhost",
    "oci",
    "dir",
    "library",
    "r.io",
    "--",
    sha256,
    ":5000/",
  );
  const anything = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
  );

  test("accepts nothing that Podman or a log could read as more than an image", () => {
    fc.assert(
      fc.property(anything, (written) => {
        const name = tryParse(written);
        for (const text of name?.spellings ?? []) {
          assert.doesNotMatch(text, /^-|[^A-Za-z0-9._/:@-]|^[a-z-]+:\/|\.\.\/|\/\//);
        }
        assert.doesNotMatch(name?.written ?? "", /^(?:dir|oci|oci-archive|docker-archive|sif|tarball):/);
      }),
      { numRuns: 5000 },
    );
  });

  test("reads every qualified name as itself, and every spelling as the same image", () => {
    let accepted = 0;
    fc.assert(
      fc.property(anything, (written) => {
        const name = tryParse(written);
        if (!name) return;
        accepted += 1;
        assert.equal(parseImageName(name.qualified).qualified, name.qualified);
        for (const spelling of name.spellings) {
          // A short name that Podman takes for a transport is not one that it could be given.
          const other = tryParse(spelling);
          if (other) assert.equal(withTag(other.qualified), withTag(name.qualified), spelling);
        }
      }),
      { numRuns: 5000 },
    );
    assert.ok(accepted > 100, `only ${accepted} names were accepted`);
  });
});

function tryParse(written: string) {
  try {
    return parseImageName(written);
  } catch {
    return undefined;
  }
}

function withTag(name: string): string {
  return /[@]|:[^/]*$/.test(name) ? name : `${name}:latest`;
}
