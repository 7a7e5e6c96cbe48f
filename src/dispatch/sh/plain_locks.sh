# The kernel holds these locks for as long as this script or anything that it started lives, and no longer.
mkdir -m 1777 "$locks" 2>/dev/null
held=()
lock() {
  local file="$locks/$1" descriptor
  [ -e "$file" ] || (umask 0; : >>"$file")
  exec {descriptor}<"$file" || return 1
  if flock -n "$descriptor"; then
    held+=("$descriptor")
    return 0
  fi
  exec {descriptor}<&-
  return 1
}
