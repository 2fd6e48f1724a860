// A chat: what one says, all get.
const { WebSocketServer, WebSocket } = require("ws");

const room = new WebSocketServer({ port: 3000 });

room.on("connection", (client) => {
  client.send(`welcome, you are one of ${room.clients.size}`);
  client.on("message", (message) => {
    for (const other of room.clients) {
      if (other.readyState === WebSocket.OPEN) other.send(`somebody says ${message}`);
    }
  });
});
