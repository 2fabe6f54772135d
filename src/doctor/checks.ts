import type { Check } from "./check.ts";
import { cgroups } from "./checks/cgroups.ts";
import { container } from "./checks/container.ts";
import { containerNetwork } from "./checks/container-network.ts";
import { dataDirectory } from "./checks/data-directory.ts";
import { devices } from "./checks/devices.ts";
import { freeSpace } from "./checks/free-space.ts";
import { gitlab } from "./checks/gitlab.ts";
import { idMapping } from "./checks/id-mapping.ts";
import { jobPrograms } from "./checks/job-programs.ts";
import { limits } from "./checks/limits.ts";
import { login } from "./checks/login.ts";
import { pauseProcess } from "./checks/pause-process.ts";
import { podman } from "./checks/podman.ts";
import { registries } from "./checks/registries.ts";
import { runtimeDirectory } from "./checks/runtime-directory.ts";
import { scheduler } from "./checks/scheduler.ts";
import { selinux } from "./checks/selinux.ts";
import { storageDriver } from "./checks/storage-driver.ts";
import { storagePlace } from "./checks/storage-place.ts";
import { subordinateIds } from "./checks/subordinate-ids.ts";
import { systemCalls } from "./checks/system-calls.ts";
import { systemLog } from "./checks/system-log.ts";
import { userNamespaces } from "./checks/user-namespaces.ts";

/** Every check, in the order in which their findings are shown: what explains others first. */
export const checks: readonly Check[] = [
  login,
  jobPrograms,
  dataDirectory,
  freeSpace,
  limits,
  userNamespaces,
  subordinateIds,
  idMapping,
  runtimeDirectory,
  pauseProcess,
  podman,
  cgroups,
  storageDriver,
  storagePlace,
  container,
  containerNetwork,
  devices,
  selinux,
  scheduler,
  systemCalls,
  systemLog,
  gitlab,
  registries,
];
