# `find_library NAME`: where programs of this machine find it, else what theseus hosts --setup brought; nothing where it is not.
find_library() {
  found=$({ ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -m 1 -o "/[^ ]*/$1[^ ]*")
  for folder in /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib /opt/cuda/lib64 "$work/lib"; do
    for file in "$folder/$1"*; do [ -z "$found" ] && [ -e "$file" ] && found=$file; done
  done
  echo "$found"
}
