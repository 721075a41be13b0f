#!/bin/sh
# One request of Hedgerow's on stdin, its answer on stdout. POSIX sh with awk, sha256sum, od and head.
set -eu

WINDOW_S=300 # what was signed longer ago, or so far in the future, is refused
MAX_BODY_BYTES=4194304

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# answer STATUS FILE
answer() {
  printf 'HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' "$1" "$(wc -c <"$2")"
  cat "$2"
  exit 0
}

refuse() {
  echo "$2" >"$folder/answer"
  answer "$1" "$folder/answer"
}

# The bytes that the hexadecimal digits $1 stand for, each xor $2.
bytes_xor() {
  digits=$1
  format=
  while [ -n "$digits" ]; do
    rest=${digits#??}
    byte=$((0x${digits%"$rest"} ^ $2))
    format=$format\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))
    digits=$rest
  done
  # shellcheck disable=SC2059
  printf "$format"
}

# HMAC-SHA256 (RFC 2104) of the file $2 with the key $1. openssl would show the key in the list of processes.
hmac() {
  if [ "${#1}" -gt 64 ]; then
    key=$(printf %s "$1" | sha256sum | cut -c 1-64)
  else
    key=$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n')
  fi
  key=$(printf '%-128s' "$key" | tr ' ' 0)
  inner=$({ bytes_xor "$key" 0x36 && cat "$2"; } | sha256sum | cut -c 1-64)
  { bytes_xor "$key" 0x5c && bytes_xor "$inner" 0; } | sha256sum | cut -c 1-64
}

# The request line, then the headers up to an empty line: names in lower case, values without spaces around them.
read -r method target _ || exit 0
while read -r line; do
  line=${line%"$(printf '\r')"}
  [ -n "$line" ] || break
  printf '%s\n' "$line"
done | awk '{
  colon = index($0, ":"); name = tolower(substr($0, 1, colon - 1)); value = substr($0, colon + 1)
  gsub(/^[ \t]+|[ \t]+$/, "", value); print name ":" value
}' >"$folder/headers"

header() {
  awk -v name="$1:" 'index($0, name) == 1 { print substr($0, length(name) + 1); exit }' "$folder/headers"
}

length=$(header content-length)
case $length in '' | *[!0-9]*) refuse "411 Length Required" "content-length is missing" ;; esac
[ "$length" -le "$MAX_BODY_BYTES" ] || refuse "413 Content Too Large" "the message is over 4 MiB"
head -c "$length" >"$folder/body"

timestamp=$(header hedgerow-timestamp)
case $timestamp in '' | *[!0-9]*) refuse "401 Unauthorized" "there is no timestamp" ;; esac
age=$(($(date +%s) - timestamp))
[ "$age" -le "$WINDOW_S" ] && [ "$age" -ge "-$WINDOW_S" ] ||
  refuse "401 Unauthorized" "the timestamp is too old"

{
  printf '%s\n%s\n' "$method" "$target"
  grep '^hedgerow-' "$folder/headers" | grep -v '^hedgerow-signature:' | LC_ALL=C sort
  printf %s "$(sha256sum <"$folder/body" | cut -c 1-64)"
} >"$folder/signed"

# The file may hold several keys, and the header a signature for each: one pair that fits will do. Digests are
# compared in place of the signatures, so that the time of the comparison tells nothing of them.
digest() { printf %s "$1" | sha256sum; }
header hedgerow-signature | tr ',' '\n' >"$folder/signatures"
genuine=no
while read -r key || [ -n "$key" ]; do
  case $key in '' | '#'*) continue ;; esac
  expected=$(digest "v1=$(hmac "$key" "$folder/signed")")
  while read -r signature; do
    [ "$(digest "$signature")" != "$expected" ] || genuine=yes
  done <"$folder/signatures"
done <"$CALLBACK_KEY_FILE"
[ $genuine = yes ] || refuse "401 Unauthorized" "the signature is not right"

# The work itself. Any other status than 2xx, with a line, is an error for the sender.
{
  printf '%s by shell at %s, attempt %s: ' \
    "$(header hedgerow-kind)" "$(header hedgerow-node)" "$(header hedgerow-attempt)"
  cat "$folder/body"
} >"$folder/answer"
answer "200 OK" "$folder/answer"
