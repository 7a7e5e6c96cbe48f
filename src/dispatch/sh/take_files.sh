# A list, hashes as sha256sum has them, then the files of the list one after another. They have their names when all hashes are right.
umask 022
mkdir -p "$folder" || exit 30
rm -rf "$folder/.part-$client"
trap 'rm -rf "$folder/.part-$client"' EXIT
new=$folder/.part-$client
mkdir -p "$new/files" || exit 30
head -c "$list_bytes" >"$new/list" && head -c "$sums_bytes" >"$new/sums" || exit 31
while IFS= read -r line <&3; do
  case "$line" in
    d*)
      into=$new/files/${line#d}
      mkdir "$into" || exit 31
      IFS= read -r _ <&3
      ;;
    *) head -c "${line%% *}" >"$into/${line#* }" || exit 31 ;;
  esac
done 3<"$new/list"
(cd "$new/files" && sha256sum --status -c ../sums 2>/dev/null) || exit 33
while IFS= read -r line <&3; do
  case "$line" in
    d*)
      IFS= read -r target <&3
      mkdir -p "$target" && find "$new/files/${line#d}" -type f -exec mv -f -t "$target" {} + || exit 31
      ;;
  esac
done 3<"$new/list"
