// The smallest server that can say whether it is well.
const http = require("http");
const ms = require("ms");

http
  .createServer((request, response) => {
    if (request.url === "/health") {
      response.setHeader("content-type", "application/json");
      response.end('{"status": "ok"}\n');
    } else {
      response.end(`hello from node, up ${ms(Math.round(process.uptime() * 1000))}\n`);
    }
  })
  .listen(8080, "0.0.0.0");
