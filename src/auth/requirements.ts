import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import { type CallFilter, callFilter } from "../seccomp/filter.ts";
import { callsThatJobsMiss } from "../seccomp/needed.ts";
import { type KeyServer, keyServer } from "./key-server.ts";
import type { AuthConfig } from "./lists.ts";

// What a configuration needs for jobs to be authorised, beside what its schema says. `jacamar check` asks the same.

/** `[auth]` with its way of giving the runner's rights up. Throws `config_invalid` where it is not there. */
export function requireDownscope({ auth }: Config): AuthConfig & {
  readonly downscope: NonNullable<AuthConfig["downscope"]>;
} {
  if (auth?.downscope !== undefined) return { ...auth, downscope: auth.downscope };
  throw new JacamarError("config_invalid", "The configuration does not say how the rights of the runner are given up", {
    hint: 'Add [auth] with downscope = "setuid", "sudo" or "none".',
  });
}

/** Throws `config_invalid` for `no_new_privs` together with Podman or a scheduler. */
export function refuseNoNewPrivs({ auth, general }: Config): void {
  if (auth?.no_new_privs !== true) return;
  if (general.executor !== "shell") {
    throw new JacamarError("config_invalid", `no_new_privs and executor = "${general.executor}" exclude each other`, {
      hint: "The scheduler starts the scripts, and nothing here reaches what it starts.",
    });
  }
  if (general.run_mechanism !== "podman") return;
  throw new JacamarError("config_invalid", 'no_new_privs and run_mechanism = "podman" exclude each other', {
    hint: "With no_new_privs newuidmap cannot map the subordinate ids of rootless Podman.",
  });
}

/**
 * The filter on system calls of `[auth.seccomp]`; undefined without one. Throws `config_invalid` where no job could run under it, or where
 * it could not be loaded.
 *
 * @param runner user id of the runner's account; undefined when it is not known.
 */
export function requireFilter(config: Config, runner: number | undefined): CallFilter | undefined {
  const filter = callFilter(config.auth?.seccomp);
  if (filter === undefined || config.auth?.downscope === undefined) return undefined;
  const { downscope, no_new_privs: noNewPrivs } = config.auth;
  if (!noNewPrivs && (downscope !== "setuid" || (runner ?? 0) !== 0)) {
    const who = downscope === "setuid" ? "a service account" : `downscope = "${downscope}"`;
    throw new JacamarError("config_invalid", `The filter of [auth.seccomp] cannot be loaded with ${who}`, {
      hint: "Without root the kernel lets a process have a filter only when no program gains rights in it. So either let jacamar-auth run as root, or set no_new_privs = true, with which rootless Podman and schedulers do not work.",
    });
  }
  const missing = callsThatJobsMiss(filter, noNewPrivs);
  if (missing.length > 0) {
    const names = missing.map((name) => `"${name}"`).join(", ");
    throw new JacamarError("config_invalid", `[auth.seccomp] blocks system calls without which no job runs: ${names}`, {
      hint:
        filter.kind === "block"
          ? "Take them out of block_calls."
          : "Add them to allow_calls, and take them out of block_calls. With block_all = false allow_calls has no effect.",
    });
  }
  if (filter.limitSetuid && config.general.run_mechanism === "podman") {
    throw new JacamarError("config_invalid", 'limit_setuid and run_mechanism = "podman" exclude each other', {
      hint: "A container's processes become users of the container, with the calls that limit_setuid takes away.",
    });
  }
  return filter;
}

/** The server whose tokens count. Throws `config_invalid` when none is named, or one that cannot be trusted. */
export function requireServer({ general }: Config): KeyServer {
  if (general.gitlab_server !== undefined) return keyServer(general.gitlab_server);
  throw new JacamarError("config_invalid", "The configuration does not name the GitLab server", {
    hint: 'Add to [general]: gitlab_server = "https://gitlab.example.com".',
  });
}
