// Starts Spotlight's sidecar on a free port of 127.0.0.1 and prints that port; ends when its standard input does.
// Its own command line is not used: that one also starts a client that reports home.
import net from "node:net";
import { setupSpotlight } from "@spotlightjs/spotlight";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, host, ...rest) {
  const callback = [host, ...rest].find((argument) => typeof argument === "function");
  return listen.call(this, port, "127.0.0.1", callback);
};

const server = await setupSpotlight({ port: 0, filesToServe: {}, isStandalone: true });
console.log(`PORT ${server.address().port}`);
process.stdin.on("end", () => process.exit(0)).resume();
