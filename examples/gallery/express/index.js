// Greets by name.
const express = require("express");

const app = express();

app.get("/hello/:name", (request, response) => {
  response.json({ hello: request.params.name, from: "express" });
});

app.listen(3000);
