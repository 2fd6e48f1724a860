import "./style.css";
import { next } from "./counter.js";

const button = document.querySelector("#counter");
button.addEventListener("click", () => {
  button.textContent = next(Number(button.textContent));
});
