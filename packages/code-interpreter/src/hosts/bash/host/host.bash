# Runs the cells of one context. The server speaks to it over descriptor 3, see bash-host.ts: words that end with a NUL.
# Cells are sourced, at the top of this script: so `declare` in them lives on, and `return` ends them.
exec 63<&3 3<&-
__islet_count=0

__islet_say() {
  local LC_ALL=C length
  printf -v length '\\x%02x\\x%02x\\x%02x\\x%02x' \
    $((${#1} >> 24 & 255)) $((${#1} >> 16 & 255)) $((${#1} >> 8 & 255)) $((${#1} & 255))
  printf "$length%s" "$1" >&63
}

# Called before each command once a cell is to end: 2 has Bash return from functions and sourced files.
__islet_leave() {
  [[ " ${FUNCNAME[*]} " == *' source '* ]] && return 2
  trap - DEBUG
  shopt -u extdebug
}

__islet_end_cell() {
  shopt -s extdebug
  trap __islet_leave DEBUG
}

# In a cell it ends the cell; in a subshell it is what it always was.
exit() {
  __islet_status=${1:-$?}
  ((BASH_SUBSHELL == 0)) || builtin exit "$__islet_status"
  __islet_end_cell
}

trap '__islet_interrupted=1; __islet_end_cell' INT
# A copy of a sandbox is told by this that it is one: $RANDOM is a generator in memory.
trap 'RANDOM=$((16#$(od -An -N4 -tx4 /dev/urandom | tr -d " ")))' URG

__islet_say '{"type":"ready"}'
__islet_after=()
while IFS= read -r -d '' -u 63 __islet_word; do
  IFS= read -r -d '' -u 63 __islet_value
  case $__islet_word in
    set:*) export "${__islet_word#set:}=$__islet_value" ;;
    after:*) __islet_after+=("export" "${__islet_word#after:}=$__islet_value") ;;
    unset:*) __islet_after+=("unset" "${__islet_word#unset:}") ;;
    reseed) kill -URG $$ ;;
    run)
      __islet_say "{\"type\":\"count\",\"executionCount\":$((++__islet_count))}"
      __islet_interrupted=
      __islet_status=
      source /dev/stdin 63>&- <<<"$__islet_value"
      __islet_last=$?
      {
        __islet_status=${__islet_status:-$__islet_last}
        for ((__islet_at = 0; __islet_at < ${#__islet_after[@]}; __islet_at += 2)); do
          "${__islet_after[__islet_at]}" "${__islet_after[__islet_at + 1]}"
        done
        __islet_after=()
        if [[ $__islet_interrupted ]]; then
          __islet_say '{"type":"error","name":"Interrupted","value":"The execution was interrupted","traceback":"The execution was interrupted"}'
        elif ((__islet_status != 0)); then
          __islet_say "{\"type\":\"error\",\"name\":\"ExitStatus\",\"value\":\"$((__islet_status))\",\"traceback\":\"The last command ended with $((__islet_status))\"}"
        fi
        __islet_say '{"type":"done"}'
      } 2>/dev/null
      ;;
  esac
done
builtin exit 0
