#!/bin/sh
# A service that answers Hedgerow's messages, in the shell. What listens is socat or, where that is not installed,
# perl: each connection starts handle.sh, with the connection as its stdin and stdout.
#
#   ./service.sh 9000 callback.key
#   hedgerow serve --on-send http://127.0.0.1:9000/send --on-broadcast http://127.0.0.1:9000/broadcast \
#       --callback-key-file callback.key
set -eu

port=$1
CALLBACK_KEY_FILE=$2
export CALLBACK_KEY_FILE
handler=$(dirname "$0")/handle.sh

echo "listening on http://127.0.0.1:$port"
if command -v socat >/dev/null; then
  exec socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork,backlog=64" "EXEC:$handler"
fi
exec perl -MIO::Socket::INET -e '
  my ($port, $handler) = @ARGV;
  my $listener = IO::Socket::INET->new(
    LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 64, ReuseAddr => 1,
  ) or die "port $port: $!\n";
  $SIG{CHLD} = "IGNORE";
  while (1) {
    my $connection = $listener->accept or next;
    if (fork == 0) {
      $SIG{CHLD} = "DEFAULT";
      open STDIN, "<&", $connection;
      open STDOUT, ">&", $connection;
      exec $handler;
    }
    close $connection;
  }' "$port" "$handler"
