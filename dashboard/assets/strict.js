// Dash's and plotly's scripts make styles as they go. Under a policy without 'unsafe-inline' a style element needs the
// nonce of this answer, and a style attribute has to be set through the CSSOM. What is written into the page as HTML
// gets neither.
(() => {
  const nonce = document.currentScript.nonce;
  const create = Document.prototype.createElement;
  Document.prototype.createElement = function (name, ...rest) {
    const made = create.call(this, name, ...rest);
    if (String(name).toLowerCase() === "style") made.nonce = nonce;
    return made;
  };
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (String(name).toLowerCase() === "style" && this.style) this.style.cssText = value;
    else set.call(this, name, value);
  };
  // Dash asks every input for its selection, which sliders do not have.
  const select = HTMLInputElement.prototype.setSelectionRange;
  HTMLInputElement.prototype.setSelectionRange = function (...range) {
    if (this.type === "text" || this.type === "search") select.apply(this, range);
  };
})();
