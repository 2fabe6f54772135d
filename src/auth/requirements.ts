import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
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

/** The server whose tokens count. Throws `config_invalid` when none is named, or one that cannot be trusted. */
export function requireServer({ general }: Config): KeyServer {
  if (general.gitlab_server !== undefined) return keyServer(general.gitlab_server);
  throw new JacamarError("config_invalid", "The configuration does not name the GitLab server", {
    hint: 'Add to [general]: gitlab_server = "https://gitlab.example.com".',
  });
}
