import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseSink, defaultLogging } from "./sink.ts";

const file = (location: string) => chooseSink({ ...defaultLogging, location });
const remote = (address: string | undefined, network: "tcp" | "udp" | undefined = "tcp", location = "syslog") =>
  chooseSink({ ...defaultLogging, network, address, location });

describe("chooseSink()", () => {
  test("takes the local syslog when nothing is set", () => {
    assert.deepEqual(chooseSink(defaultLogging), { kind: "syslog" });
  });

  test("takes journald and files", () => {
    assert.deepEqual(file("journald"), { kind: "journald" });
    assert.deepEqual(file("/var/log/jacamar/a b.log"), { kind: "file", path: "/var/log/jacamar/a b.log" });
    assert.deepEqual(file("/..a/b..c/..."), { kind: "file", path: "/..a/b..c/..." });
  });

  for (const location of ["", "Syslog", "jacamar.log", "/", "//a", "/a/", "/a//b", "/a/../b", "/..", "/a/.", "/a\nb"]) {
    test(`refuses the location ${JSON.stringify(location)}`, () => {
      assert.throws(() => file(location), { code: "config_invalid", message: /has the location/ });
    });
  }

  test("takes a remote syslog by name, IPv4 and IPv6", () => {
    const found = { kind: "remote", network: "tcp", port: 514 };
    assert.deepEqual(remote("log-1.example.com:514"), { ...found, host: "log-1.example.com" });
    assert.deepEqual(remote("192.0.2.1:514"), { ...found, host: "192.0.2.1" });
    assert.deepEqual(remote("[2001:db8::1]:514", "udp"), { ...found, network: "udp", host: "2001:db8::1" });
  });

  for (const address of [
    "host",
    "host:",
    ":514",
    "host:0",
    "host:65536",
    "host:5x",
    "2001:db8::1:514",
    "a b:1",
    "-:1x",
  ]) {
    test(`refuses the address "${address}"`, () => {
      assert.throws(() => remote(address), { code: "config_invalid", message: /has the address/ });
    });
  }

  test("refuses half an address, and one for a log that has none", () => {
    assert.throws(() => remote(undefined), { code: "config_invalid", message: /network or address alone/ });
    assert.throws(() => chooseSink({ ...defaultLogging, address: "host:514" }), {
      code: "config_invalid",
      message: /network or address alone/,
    });
    for (const location of ["journald", "/var/log/jacamar.log"]) {
      assert.throws(() => remote("host:514", "tcp", location), { code: "config_invalid", message: /has an address/ });
    }
  });
});
