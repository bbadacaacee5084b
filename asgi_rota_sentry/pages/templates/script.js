(function () {
var back = document.querySelectorAll("[data-back]"), copy = document.querySelector("[data-copy]"), id = document.querySelector("#event");
if (history.length > 1) back.forEach(function (button) {
  button.hidden = false;
  button.onclick = function () { history.back(); };
});
if (copy) {
  copy.hidden = false;
  copy.onclick = function () {
    function say() { copy.nextElementSibling.textContent = copy.dataset.copy; }
    function select() {
      getSelection().selectAllChildren(id);
      if (document.execCommand("copy")) say();
    }
    if (navigator.clipboard) navigator.clipboard.writeText(id.textContent).then(say, select); else select();
  };
}
})();
