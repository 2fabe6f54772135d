import type { Rule } from "./rule.ts";
import { incompleteAuth, protectionOff } from "./rules/authorisation.ts";
import { exchangeableFiles, missingFiles, runAsScript } from "./rules/files.ts";
import { contradictingLists, emptyLists, unknownNames } from "./rules/lists.ts";
import { widePattern } from "./rules/patterns.ts";
import { brokenOptions, drivenOptions, openedOptions } from "./rules/podman-options.ts";
import { brokenCallFilter, callFilterGap, keptRights } from "./rules/system-calls.ts";
import { dataDirectory, readableSecrets } from "./rules/surroundings.ts";

/** Every rule beyond the schema, in the order of docs/check.md. */
export const rules: readonly Rule[] = [
  incompleteAuth,
  missingFiles,
  exchangeableFiles,
  runAsScript,
  brokenOptions,
  openedOptions,
  drivenOptions,
  brokenCallFilter,
  callFilterGap,
  keptRights,
  widePattern,
  emptyLists,
  contradictingLists,
  unknownNames,
  protectionOff,
  dataDirectory,
  readableSecrets,
];
