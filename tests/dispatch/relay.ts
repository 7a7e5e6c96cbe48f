/**
 * @file A ProxyCommand of ssh: passes bytes on to PORT of this machine, each way DELAY_MS later, and ends the connection after LIMIT
 * bytes towards the host (0: never), as a network does that is lost.
 */
import { connect } from "node:net";

const [port = "", delay = "0", limit = "0"] = process.argv.slice(2);
const delayMs = Number(delay);
const most = Number(limit) || Number.POSITIVE_INFINITY;
let sent = 0;

const socket = connect(Number(port), "127.0.0.1");
const later = (action: () => void): void => {
  if (delayMs === 0) action();
  else setTimeout(action, delayMs);
};

socket.on("data", (bytes) => later(() => process.stdout.write(bytes)));
socket.on("close", () => later(() => process.exit(0)));
process.stdin.on("data", (bytes) => {
  sent += bytes.length;
  if (sent > most) process.exit(0);
  later(() => {
    if (socket.write(bytes)) return;
    process.stdin.pause();
    socket.once("drain", () => process.stdin.resume());
  });
});
process.stdin.on("end", () => later(() => socket.end()));
