/**
 * Bash for a job file: adds to the array `options` of `podman run` the GPUs that the scheduler has granted to the job, and no
 * others. Rootless Podman would else let a container at all GPUs of the node or at none: a scheduler's own limits may not
 * reach it (facts/podman-on-hpc.md, 1.4). The grant is known on the node only:
 *
 * - Slurm: `SLURM_STEP_GPUS` in a step, `SLURM_JOB_GPUS` in a batch job: numbers by place on the PCI bus, whether or not the
 *   job can see the other GPUs (sbatch(1); src/plugins/gres/common/gres_common.c). `CUDA_VISIBLE_DEVICES`, `ROCR_VISIBLE_DEVICES`,
 *   `ZE_AFFINITY_MASK` and `GPU_DEVICE_ORDINAL` count from 0 again where the device cgroup hides the others, so they serve
 *   only when they hold UUIDs, as for MIG. With neither of the first two Slurm has granted none.
 * - Flux: `CUDA_VISIBLE_DEVICES` for all makers of GPUs, `-1` without a grant (src/shell/gpubind.c of flux-core).
 * - PBS: `CUDA_VISIBLE_DEVICES` with UUIDs, empty without a grant (src/hooks/cgroups/pbs_cgroups.PY of OpenPBS). Torque: the file
 *   `PBS_GPUFILE` with lines `HOST-gpuNUMBER`.
 * - LSF: `CUDA_VISIBLE_DEVICES` or `ROCR_VISIBLE_DEVICES`, counted from 0 again where `LSB_RESOURCE_ENFORCE` has `gpu`.
 *
 * Numbers that count what can be seen are looked up among the devices that the job may open: so they are right with and
 * without a device cgroup. A user who sets such a variable changes only what the container of this user gets, among what the
 * account may open anyway.
 *
 * A GPU goes in by its CDI name, found in the specifications by its device file, where Podman can read the specification; else
 * by its device files. A list that cannot be translated gives no GPU at all and a line that says so. Without a grant it is silent.
 *
 * It needs Bash 4, awk, grep, sed, and the variable `podman`. It says on standard output which GPUs the container gets, on
 * standard error why it gets none. Tests set `gpu_root` to the root of a made-up tree with `dev`, `sys`, `proc` and `etc`.
 */
export const gpuGrant = `# --- GPUs: those that the scheduler has granted, and no others, go into the container.
gpu_root=\${gpu_root-}

gpu_none() { case $1 in '' | -1 | NoDevFiles | none | void) ;; *) return 1 ;; esac; }
gpu_refuse() { echo "The container gets no GPUs: $*" >&2; return 1; }
gpu_opens() { { : <>"$1"; } 2>/dev/null; }

# "RANK PLACE FILE" of each card: how the vendor's programs count it, ? where the system does not tell; and what is next best.
gpu_places() { # VENDOR
  local file number rank place drm id=0x1002
  if [ "$1" = nvidia ]; then
    for file in "$gpu_root"/dev/nvidia[0-9]*; do
      number=\${file##*/nvidia}
      [[ $number =~ ^[0-9]{1,6}$ ]] || continue
      rank=$(gpu_information "$number")
      rank=\${rank%/information}
      rank=\${rank##*/}
      printf '%s %06d %s\\n' "\${rank:-?}" "$number" "$file"
    done
    return
  fi
  [ "$1" = amd ] || id=0x8086
  for drm in "$gpu_root"/sys/class/drm/renderD[0-9]*; do
    number=\${drm##*/renderD}
    file=$gpu_root/dev/dri/renderD$number
    [ -e "$file" ] && [ "$(cat "$drm/device/vendor" 2>/dev/null)" = $id ] || continue
    place=$(readlink -f "$drm/device")
    place=\${place##*/}
    # The graphics of Intel's processors is no GPU that anybody grants.
    case $1:$place in intel:*:00:02.0) continue ;; esac
    rank=$place
    if [ "$1" = amd ]; then
      rank=$(grep -lsx "drm_render_minor $number" "$gpu_root"/sys/class/kfd/kfd/topology/nodes/*/properties | head -n 1)
      rank=\${rank%/properties}
      rank=\${rank##*/}
      [ -z "$rank" ] || rank=$(printf %06d "$rank")
    fi
    echo "\${rank:-?} $place $file"
  done
}

# NVIDIA's driver has a file for each card, in a directory that is named after its place on the PCI bus.
gpu_information() { # NUMBER
  grep -lsE "^Device Minor:[[:space:]]*$1[[:space:]]*$" "$gpu_root"/proc/driver/nvidia/gpus/*/information | head -n 1
}

# Fills cards, in the order in which the vendor's programs count them.
gpu_cards() { # VENDOR
  local LC_ALL=C lines file
  lines=$(gpu_places "$1")
  cards=()
  while read -r _ _ file; do
    [ -z "$file" ] || cards+=("$file")
  done < <(case $'\\n'$lines in *$'\\n? '*) sort -k 2 <<<"$lines" ;; *) sort <<<"$lines" ;; esac)
}

# Fills wanted with what a list names: numbers, ranges of them, UUIDs. False for anything else.
gpu_list() { # LIST
  local token tokens number
  wanted=()
  read -r -a tokens <<<"\${1//[,\\\\[:space:]]/ }"
  for token in "\${tokens[@]}"; do
    if [[ $token =~ ^([0-9]{1,3})-([0-9]{1,3})$ ]]; then
      for ((number = 10#\${BASH_REMATCH[1]}; number <= 10#\${BASH_REMATCH[2]}; number++)); do wanted+=("$number"); done
    elif [[ $token =~ ^[0-9]{1,3}(\\.[0-9]{1,2})?$ || $token =~ ^(GPU|MIG)-[A-Za-z0-9/-]{4,80}$ ]]; then
      wanted+=("$token")
    else
      return 1
    fi
  done
  [ "\${#wanted[@]}" -gt 0 ]
}

# The file of the one card whose UUID begins with a text.
gpu_of_uuid() { # VENDOR UUID
  local card number found=() uuid=\${2,,}
  for card in "\${cards[@]}"; do
    number=\${card##*[!0-9]}
    if [ "$1" = nvidia ]; then
      sed -n 's/^GPU UUID:[[:space:]]*//p' "$(gpu_information "$number")" 2>/dev/null
    else
      echo "GPU-$(cat "$gpu_root/sys/class/drm/renderD$number/device/unique_id" 2>/dev/null)"
    fi | tr A-Z a-z | grep -q "^$uuid" && found+=("$card")
  done
  [ "\${#found[@]}" = 1 ] && echo "\${found[0]}"
}

# Where Podman looks for CDI specifications. Since 5.1 its configuration can say so; the last file that does decides.
gpu_cdi_directories() { # PODMAN_VERSION
  local home=\${XDG_CONFIG_HOME:-\${HOME-}/.config} files=() said=
  if [ "$1" -ge 501 ]; then
    files=("$gpu_root"/{usr/share,etc}/containers/containers.conf "$gpu_root"/etc/containers/containers.conf.d/*.conf
      "$home"/containers/containers.conf "$home"/containers/containers.conf.d/*.conf)
    [ -z "\${CONTAINERS_CONF-}" ] || files=("$CONTAINERS_CONF")
    [ -z "\${CONTAINERS_CONF_OVERRIDE-}" ] || files+=("$CONTAINERS_CONF_OVERRIDE")
    said=$(cat "\${files[@]}" 2>/dev/null | awk '/^[ \\t]*#/ { next }
      !inside && /^[ \\t]*cdi_spec_dirs[ \\t]*=/ { inside = 1; list = "" }
      inside { list = list $0; if (/\\]/) { inside = 0; print list } }' | tail -n 1)
  fi
  if [ -n "$said" ]; then grep -o '"[^"]*"' <<<"$said" | tr -d '"'; else printf '%s\\n' "$gpu_root"/etc/cdi "$gpu_root"/var/run/cdi; fi
}

# "NAME<tab>CARDS" of the devices in all CDI specifications that this Podman can read. A slice of a card has "slice" there.
gpu_cdi() { # VENDOR
  local LC_ALL=C version highest=0 directory file pattern='^/dev/dri/renderD[0-9]+$'
  [ "$1" != nvidia ] || pattern='^/dev/nvidia[0-9]+$'
  version=$("\${podman:-podman}" --version 2>/dev/null)
  [[ $version =~ ([0-9]+)\\.([0-9]+) ]] || return
  version=$((10#\${BASH_REMATCH[1]} * 100 + 10#\${BASH_REMATCH[2]}))
  # Which versions of the specification the Podman releases were built with. A newer one is as good as none to them.
  case $version in
    40[12]) highest=4 ;;
    40[3-6]) highest=5 ;;
    40[7-9] | 500) highest=6 ;;
    501) highest=7 ;;
    50[2-4]) highest=8 ;;
    5*) highest=1000 ;;
    *) [ "$version" -lt 600 ] || highest=999999 ;;
  esac
  [ "$highest" -gt 0 ] || return
  while IFS= read -r directory; do
    for file in "$directory"/*.json "$directory"/*.yaml; do
      [ -r "$file" ] && awk -v highest="$highest" -v pattern="$pattern" "$gpu_cdi_reader" "$file"
    done
  done < <(gpu_cdi_directories "$version")
}

gpu_cdi_reader='
function text(value) { sub(/^[^:]*:[ \\t]*/, "", value); sub(/[ \\t,]+$/, "", value); gsub(/^["\\047]|["\\047]$/, "", value); return value }
function note(path) {
  if (path ~ /nvidia-cap/) path = "slice"
  else if (path !~ pattern) return
  if (index(" " files " ", " " path " ") == 0) files = files (files == "" ? "" : " ") path
}
function flush() { if (name != "") found[++count] = name "\\t" files; name = ""; files = "" }
function member(line, top) {
  if (line ~ /^"?name"?[ \\t]*:/) { if (top) name = text(line) }
  else if (line ~ /^"?(path|hostPath)"?[ \\t]*:/) note(text(line))
}
function head(line) {
  if (line ~ /^"?kind"?[ \\t]*:/) kind = text(line)
  if (line ~ /^"?cdiVersion"?[ \\t]*:/) { split(text(line), part, "."); version = part[1] * 1000 + part[2] }
}
# JSON: the commas and braces outside of strings end a member; a device is an object two levels below the root.
function json(whole,    i, c, quoted, depth, piece, listed) {
  for (i = 1; i <= length(whole); i++) {
    c = substr(whole, i, 1)
    if (quoted) { piece = piece c; if (c == "\\\\") piece = piece substr(whole, ++i, 1); else if (c == "\\"") quoted = 0; continue }
    if (c == "\\"") quoted = 1
    if (c !~ /[][{},]/) { if (c !~ /[ \\t\\n\\r]/) piece = piece c; continue }
    if (depth == 1) head(piece)
    if (listed && depth >= 3) member(piece, depth == 3)
    if (c == "{" || c == "[") { depth++; if (depth == 2) listed = (piece ~ /^"devices":$/) }
    if (c == "}" || c == "]") { if (listed && depth == 3) flush(); depth-- }
    piece = ""
  }
}
# YAML, as its generators write it: a device begins with a dash below "devices:".
function yaml(line,    bare, indent) {
  if (line ~ /^[A-Za-z"]/) { flush(); section = line; dash = -1; head(line); return }
  if (section !~ /^"?devices"?:/) return
  match(line, /^ */)
  indent = RLENGTH
  bare = substr(line, indent + 1)
  if (bare ~ /^- /) {
    if (dash < 0) dash = indent
    if (indent == dash) flush()
    while (bare ~ /^- /) { sub(/^- +/, "", bare); indent += 2 }
  }
  member(bare, indent == dash + 2)
}
{ if (NR == 1 && $0 ~ /^[ \\t]*\\{/) isJson = 1; if (isJson) whole = whole $0 "\\n"; else if ($0 !~ /^ *(#|---|$)/) yaml($0) }
END {
  if (isJson) json(whole); else flush()
  if (kind == "" || version > highest) exit
  for (i = 1; i <= count; i++) print kind "=" found[i]
}'

# The CDI name that stands for exactly this card; or, of a slice (MIG), the one with its UUID or its numbers.
gpu_cdi_name() { # CARD | UUID
  local entry name cards_of
  for entry in "\${specs[@]}"; do
    name=\${entry%%$'\\t'*}
    cards_of=\${entry#*$'\\t'}
    if [ "$cards_of" = "\${1#"$gpu_root"}" ] || [ "\${name#*=}" = "$1" ]; then
      echo "$name"
      return
    fi
  done
  return 1
}

# "2:1" for the slice 1 of card 2, as nvidia-ctk names it, from its UUID.
gpu_slice() { # UUID
  local uuid= slice= card number line
  while IFS= read -r line; do
    if [[ $line =~ ^GPU\\ .*UUID:\\ (GPU-[A-Za-z0-9-]+) ]]; then uuid=\${BASH_REMATCH[1]}; fi
    if [[ $line =~ ^[[:space:]]+MIG\\ .*Device\\ +([0-9]+):.*UUID:\\ (MIG-[A-Za-z0-9/-]+) && \${BASH_REMATCH[2]} = "$1" ]]; then slice=\${BASH_REMATCH[1]}; break; fi
  done < <(nvidia-smi -L 2>/dev/null)
  [ -n "$slice" ] && card=$(gpu_of_uuid nvidia "$uuid") || return 1
  for number in "\${!cards[@]}"; do [ "\${cards[number]}" != "$card" ] || echo "$number:$slice"; done
}

# Adds to chosen, granted and tiles what a list grants. HOW: the list counts all cards of the node, or those that can be seen.
gpu_translate() { # VENDOR LIST node|visible
  local mode=$3 cards wanted specs=() token file name open=() files=() names=() number tile=
  gpu_cards "$1"
  for file in "\${cards[@]}"; do if gpu_opens "$file"; then open+=("$file"); fi; done
  gpu_list "$2" || { gpu_refuse "\\"$2\\" is not a list of GPUs that can be understood"; return; }
  [ "\${#open[@]}" -gt 0 ] || { gpu_refuse "your account may open none of the $1 GPUs on this node"; return; }
  mapfile -t specs < <(gpu_cdi "$1")
  for token in "\${wanted[@]}"; do
    file=
    name=
    case $token in
      MIG-*)
        name=$(gpu_cdi_name "$token") || { number=$(gpu_slice "$token") && name=$(gpu_cdi_name "$number"); } ||
          { gpu_refuse "no CDI specification on this node names $token"; return; }
        ;;
      GPU-*)
        file=$(gpu_of_uuid "$1" "$token") || name=$(gpu_cdi_name "$token") || { gpu_refuse "there is no one GPU $token on this node"; return; }
        ;;
      *)
        number=$((10#\${token%.*}))
        if [ "$mode" = visible ]; then
          file=\${open[number]-}
        elif [ "\${#open[@]}" -lt "\${#cards[@]}" ] && [ "\${#open[@]}" = "\${#wanted[@]}" ]; then
          # The node itself lets the job at no others, whatever their numbers.
          file=\${open[\${#files[@]}]}
        else
          file=\${cards[number]-}
        fi
        [ -n "$file" ] || { gpu_refuse "the grant \\"$2\\" names GPU $token, and this node has \${#cards[@]}"; return; }
        [ "$1" != intel ] || gpu_tile "$file" "$token" "\${#files[@]}" || return
        ;;
    esac
    if [ -n "$file" ]; then
      gpu_opens "$file" || { gpu_refuse "the grant \\"$2\\" names $file, which this job may not open"; return; }
      [[ " \${files[*]} " == *" $file "* ]] || files+=("$file")
    else
      names+=("$name")
    fi
  done
  gpu_add "$1"
}

# A part of a card has no file of its own, so the container is told which part.
gpu_tile() { # FILE TOKEN POSITION
  local parts=("$gpu_root/sys/class/drm/\${1##*/}"/device/tile1 "$gpu_root/sys/class/drm/\${1##*/}"/device/drm/card*/gt/gt1)
  if [[ $2 == *.* ]]; then
    [[ " \${files[*]} " != *" $1 "* ]] || set -- "$1" "$2" "$(($3 - 1))"
    tiles+=\${tiles:+,}$3.\${2#*.}
  elif [ "$mode" = visible ] && [ "\${ZE_FLAT_DEVICE_HIERARCHY-}" != COMPOSITE ] && { [ -e "\${parts[0]}" ] || [ -e "\${parts[1]}" ]; }; then
    # Counted flat, each part has a number of its own.
    gpu_refuse "ZE_AFFINITY_MASK=$ZE_AFFINITY_MASK may count parts of GPUs; write CARD.PART, or set ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE"
  fi
}

gpu_add() { # VENDOR
  local file name plain=() named=\${#names[@]}
  for file in "\${files[@]}"; do
    if name=$(gpu_cdi_name "$file"); then names+=("$name"); else plain+=("$file"); fi
    # Where a group has the right to a device, the container's processes must keep the group.
    [ "$(($(stat -L -c 0%a "$file" 2>/dev/null || echo 0) & 6))" = 6 ] || groups=yes
  done
  if [ "\${#plain[@]}" -gt 0 ]; then
    [ "$named" = 0 ] || { gpu_refuse "the CDI specifications of this node name only some of the GPUs"; return; }
    names=()
    plain=("\${files[@]}")
    case $1 in
      nvidia) for name in nvidiactl nvidia-uvm nvidia-uvm-tools nvidia-modeset; do [ ! -e "$gpu_root/dev/$name" ] || plain+=("$gpu_root/dev/$name"); done ;;
      amd) plain+=("$gpu_root/dev/kfd") ;;
    esac
  fi
  for name in "\${names[@]}" "\${plain[@]}"; do chosen+=(--device "$name"); granted+=" $name"; done
}

gpu_grant() {
  local IFS=$' \\t\\n' vendors=() cards vendor name list= how=node own= unexpected= chosen=() granted= tiles= groups=
  for vendor in nvidia amd intel; do
    gpu_cards "$vendor"
    [ "\${#cards[@]}" = 0 ] || vendors+=("$vendor")
  done
  for name in CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ZE_AFFINITY_MASK GPU_DEVICE_ORDINAL; do
    gpu_none "\${!name-}" || unexpected=$name=\${!name}
  done
  if [ -n "\${SLURM_JOB_ID-}" ]; then
    list=\${SLURM_STEP_GPUS-\${SLURM_JOB_GPUS-}}
    if gpu_none "$list"; then
      [ -z "$unexpected" ] || gpu_refuse "Slurm has granted none to this job; $unexpected is not from Slurm"
      return
    fi
    [ "\${#vendors[@]}" = 1 ] || { gpu_refuse "Slurm's numbers \\"$list\\" cannot be told apart on a node with GPUs of \${#vendors[@]} makers"; return; }
    gpu_own "\${vendors[0]}"
    # UUIDs tell more than numbers.
    if [[ $own =~ ^((GPU|MIG)-[^,]+,?)+$ ]]; then list=$own; fi
    gpu_translate "\${vendors[0]}" "$list" node || return
  else
    for vendor in "\${vendors[@]}"; do
      gpu_own "$vendor"
      [ -n "$own" ] || continue
      list=$own
      gpu_translate "$vendor" "$own" "$how" || return
    done
    [ -n "$list" ] || [ -z "$unexpected" ] || gpu_refuse "$unexpected fits no GPU of this node"
  fi
  [ "\${#chosen[@]}" -gt 0 ] || return
  [ -z "$tiles" ] || chosen+=(--env "ZE_AFFINITY_MASK=$tiles" --env ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE)
  if [ -n "$groups" ] && [[ " \${options[*]} " != *" --group-add"* ]]; then chosen+=(--group-add keep-groups); fi
  options+=("\${chosen[@]}")
  echo "The container gets the GPUs that were granted:$granted"
}

# Sets own to what the variables of a vendor say, the narrowest that is surely the scheduler's first, and how they count.
gpu_own() { # VENDOR
  local names name
  own=
  how=visible
  case $1 in
    nvidia) names='CUDA_VISIBLE_DEVICES GPU_DEVICE_ORDINAL' ;;
    amd) names='ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES GPU_DEVICE_ORDINAL' ;;
    intel) names=ZE_AFFINITY_MASK ;;
  esac
  # Flux has one variable for all makers.
  if [ "\${#vendors[@]}" = 1 ]; then names+=' CUDA_VISIBLE_DEVICES'; fi
  for name in $names; do
    if ! gpu_none "\${!name-}"; then
      own=\${!name}
      return
    fi
  done
  # Torque: HOST-gpuNUMBER in each line.
  if [ "\${#vendors[@]}" = 1 ] && [ -r "\${PBS_GPUFILE-}" ]; then
    own=$(sed -nE "s/^\${HOSTNAME%%.*}(\\..*)?-gpu([0-9]+)$/\\2/p" "$PBS_GPUFILE" | tr '\\n' ' ')
    own=\${own% }
    how=node
  fi
}

gpu_grant`;

/**
 * Whether the administrator's options of `podman run` already say which GPUs containers get: `--privileged`, `--gpus`, a device or
 * volume that is a GPU's, or the variable by which NVIDIA's own runtime is told. Then {@link gpuGrant} stays out of the job file.
 */
export function choosesGpus(options: readonly string[]): boolean {
  return options.some((option, index) => {
    const [name, value = options[index + 1] ?? ""] = splitOption(option);
    switch (name) {
      case "--privileged":
        return option === name || value === "true";
      case "--gpus":
        return true;
      case "--device":
        return isGpuPath(value) || /^[^/]+\/[^=]*(?:gpu|mig)[^=]*=/i.test(value);
      case "--volume":
      case "-v":
        return isGpuPath(value);
      case "--mount":
        return value.split(",").some((part) => /^(?:src|source)=/.test(part) && isGpuPath(part.replace(/^[^=]*=/, "")));
      case "--env":
      case "-e":
        return value.startsWith("NVIDIA_VISIBLE_DEVICES");
      default:
        return false;
    }
  });
}

/** `--name=value`, `-vvalue`, or a name whose value is the next argument. */
function splitOption(option: string): [name: string, value?: string] {
  const long = /^(--[a-z-]+)=(.*)$/s.exec(option);
  if (long?.[1] !== undefined) return [long[1], long[2] ?? ""];
  if (/^-[ve]./s.test(option)) return [option.slice(0, 2), option.slice(2).replace(/^=/, "")];
  return [option];
}

/** Of `/dev/nvidia0:/dev/nvidia0:rw`, what the host has. All of /dev has the GPUs, too. */
function isGpuPath(value: string): boolean {
  const path = (value.split(":")[0] ?? "").replace(/\/+/g, "/").replace(/(?<=.)\/$/, "");
  return path === "/" || path === "/dev" || /^\/dev\/(?:nvidia|dri(?:\/|$)|kfd|dxg)/.test(path);
}
