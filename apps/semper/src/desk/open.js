// Registers the desk for links `web+semper:…` of other pages, when its user asks for it.
"use strict";

const button = document.getElementById("handler");
if (button && navigator.registerProtocolHandler) {
  button.hidden = false;
  button.addEventListener("click", () => {
    navigator.registerProtocolHandler("web+semper", location.origin + "/open?link=%s");
    document.getElementById("handler-said").textContent = button.dataset.said;
  });
}
