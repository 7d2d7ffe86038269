(() => {
  const list = document.querySelector(".cards");
  const cards = [...list.children];
  const find = document.getElementById("find");
  const order = document.getElementById("order");
  const only = document.getElementById("only");
  const said = document.getElementById("said");
  const kinds = [...document.querySelectorAll(".kinds button")];
  const keys = {
    place: (card) => Number(card.dataset.place),
    name: (card) => card.dataset.name.toLowerCase(),
    missing: (card) => -Number(card.dataset.missing),
    distinct: (card) => -Number(card.dataset.distinct),
    skewness: (card) => -Number(card.dataset.skewness),
    warnings: (card) => -Number(card.dataset.warnings),
  };
  const filter = () => {
    const text = find.value.trim().toLowerCase();
    const kind = kinds.find((button) => button.getAttribute("aria-pressed") === "true").dataset.kind;
    let shown = 0;
    for (const card of cards) {
      const fits = card.dataset.name.toLowerCase().includes(text) && (!kind || card.dataset.kind === kind);
      card.hidden = !fits || (only.checked && card.dataset.warnings === "0");
      shown += card.hidden ? 0 : 1;
    }
    said.value = shown === cards.length ? `${shown} columns` : `${shown} of ${cards.length} columns`;
  };
  const sort = () => {
    const key = keys[order.value];
    const sorted = cards.map((card) => [key(card), keys.place(card), card]);
    sorted.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1]));
    list.append(...sorted.map((entry) => entry[2]));
  };
  find.addEventListener("input", filter);
  only.addEventListener("change", filter);
  order.addEventListener("change", sort);
  for (const button of kinds) {
    button.addEventListener("click", () => {
      kinds.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      filter();
    });
  }
  // A link to a card that is filtered away shows all of them again.
  window.addEventListener("hashchange", () => {
    const card = document.getElementById(location.hash.slice(1));
    if (card && card.hidden) { find.value = ""; only.checked = false; kinds[0].click(); card.scrollIntoView(); }
  });
  filter();
})();
