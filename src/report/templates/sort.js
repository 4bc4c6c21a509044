(function () {
  'use strict';
  var table = document.getElementById('inputs');
  if (!table) { return; }
  var body = table.tBodies[0];
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
  function key(text) {
    if (text === '–') { return null; }
    if (text === 'inf') { return Infinity; }
    var number = Number(text);
    return isNaN(number) ? text : number;
  }
  function compare(a, b, sign) {
    if (a === null || b === null) { return a === b ? 0 : a === null ? 1 : -1; }
    return a < b ? -sign : a > b ? sign : 0;
  }
  function sort(column) {
    var head = heads[column];
    var sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
    var rows = Array.prototype.slice.call(body.rows).map(function (row) {
      return { row: row, key: key(row.cells[column].textContent), input: Number(row.cells[0].textContent) };
    });
    rows.sort(function (a, b) { return compare(a.key, b.key, sign) || a.input - b.input; });
    rows.forEach(function (entry) { body.appendChild(entry.row); });
    heads.forEach(function (other) { other.removeAttribute('aria-sort'); });
    head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
  }
  heads.forEach(function (head, column) {
    var button = document.createElement('button');
    button.type = 'button';
    while (head.firstChild) { button.appendChild(head.firstChild); }
    button.addEventListener('click', function () { sort(column); });
    head.appendChild(button);
  });
})();
