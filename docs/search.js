// Ranks the hits of the site's search as Sphinx does, but among equals the pages for beginners first.
// Sphinx would sort equals by title, and many are equal: one word in a title is enough.
var Scorer = {
  score: ([page, , , , score]) => score + ({ questions: 2, why: 1 }[page] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
