/**
 * Bash for a job file: the function `ci_memory_of`, which prints the most memory that the job's own control group has used, and its
 * limit, in bytes or `max`; nothing where no control group is the job's own. The kernel counts what is in use at a time by all processes of
 * the group, the file cache too (`memory.peak` since Linux 5.19, `memory.max_usage_in_bytes` in the first version).
 *
 * The mark is the beginning of the directory's name that only the job's own group has, with its slashes. What the shell is a member of is
 * asked of the kernel, so a wrong number in the environment finds nothing, never the group of another job; and where a scheduler
 * does not put jobs into groups, the shell is in that of its daemon, which has no mark.
 *
 * Tests set `memory_root` to the root of a made-up tree with `proc` and `sys`.
 */
export const jobMemory = `
ci_memory_of() { # MARK
  local root=\${memory_root-} version= controllers path group peak limit
  while IFS=: read -r _ controllers path; do
    case ,$controllers, in
      *,memory,*) version=1 group=$path && break ;;
      ,,) version=2 group=$path ;;
    esac
  done <"$root/proc/self/cgroup"
  group=$group/
  case $group in *"$1"*) ;; *) return ;; esac
  path=\${group%%"$1"*}$1
  group=\${group#"$path"}
  path=\${path%/}
  case $1 in */) ;; *) path=$path\${group%%/*} ;; esac
  case $version in
    1) path=$root/sys/fs/cgroup/memory$path && read -r peak <"$path/memory.max_usage_in_bytes" && read -r limit <"$path/memory.limit_in_bytes" ;;
    2) path=$root/sys/fs/cgroup$path && read -r peak <"$path/memory.peak" && read -r limit <"$path/memory.max" ;;
  esac && [ "$peak" != 0 ] && echo "$peak $limit"
} 2>/dev/null
`;
