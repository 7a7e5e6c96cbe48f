umask 077
submit_dir=$(mktemp -d) || exit 20
trap 'rm -rf "$submit_dir"' EXIT
