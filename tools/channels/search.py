"""The search tool: BM25 over a world's documents, in memory, by tantivy.

A query is a bag of words. tantivy's query language is not exposed: a model writes sentences, and a
stray quote or a NOT in one must not change what is found. Documents are indexed in the order of
their ids, into one segment, so that scores and ties do not depend on the order they came in.

    words of the query -> title (counts double) or body -> filters -> score, then id -> page -> snippets
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import tantivy

from faultgym.core.bank import banked
from faultgym.core.errors import HarnessError
from faultgym.core.text import storable
from faultgym.tools.exchange import Document, SearchHit, SearchReply, SearchRequest

MAX_TERMS = 64
"""Different words of a query that count; the rest is dropped."""
MAX_SIZE = 20
"""Hits per page."""
SNIPPET = 160
"""Characters of a snippet, the ellipses not counted."""

_MAX_QUERY = 10_000
"""Characters of a query that are looked at."""
_TITLE_WEIGHT = 2.0
_HEAP = 15_000_000
"""Bytes the writer may use: tantivy's least. It is gone once the index is built."""


class SearchIndex:
    """An index over a fixed set of documents. About 0.2 MB for a hundred of them, and 15 ms to build.

    Args:
        documents: In any order; their ids must differ.

    Raises:
        HarnessError: Two documents share an id, or there are too many for one segment.

    Example:
        >>> policy = Document("DOC-1", title="Refunds", kind="policy", body="Due in 14 days.", updated="2026-01-05")
        >>> [hit.id for hit in SearchIndex([policy]).search(SearchRequest("when is a refund due")).hits]
        ['DOC-1']
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._ordered = sorted(documents, key=lambda document: document.id)
        self.documents: Mapping[str, Document] = {document.id: document for document in self._ordered}
        if len(self.documents) < len(self._ordered):
            raise HarnessError("two documents of one world share an id")
        self._filters = sorted({"kind"}.union(*(document.attributes for document in documents)))
        self._searcher = _index(self._ordered).searcher()
        if self._searcher.num_segments > 1:
            raise HarnessError(f"{len(documents)} documents do not fit into one segment of the index")

    def search(self, request: SearchRequest) -> SearchReply:
        """One page of hits, best first, ties by id; what is wrong with the request is the reply's `error`.

        Args:
            request: The query, of which up to `MAX_TERMS` different words count; pages of at most `MAX_SIZE` hits.
        """
        if request.page < 1 or not 1 <= request.size <= MAX_SIZE:
            return SearchReply(error=f"page must be 1 or more, and size from 1 to {MAX_SIZE}")
        unknown = sorted(set(request.filters) - set(self._filters))
        if unknown:
            return SearchReply(error=f"unknown filter {unknown[0]!r}; known are: {', '.join(self._filters)}")
        terms = _terms(request.query)
        if not terms:
            return SearchReply(error="the query has no word to search for")
        if not self._ordered:
            return SearchReply(page=request.page)
        words = _any_of(terms)
        # All hits, not one page of them: with a limit, tantivy adds up scores in another order, and
        # the last digit then decides on which page a tie falls.
        found = self._searcher.search(_with_filters(words, request.filters), limit=len(self._ordered)).hits
        ranked = sorted((-round(score, 4), address.doc) for score, address in found)
        first = (request.page - 1) * request.size
        return SearchReply(
            hits=self._hits(words, ranked[first : first + request.size]),
            total=len(ranked),
            page=request.page,
            pages=max(1, math.ceil(len(ranked) / request.size)),
        )

    def _hits(self, words: tantivy.Query, ranked: list[tuple[float, int]]) -> tuple[SearchHit, ...]:
        if not ranked:
            return ()
        snippets = tantivy.SnippetGenerator.create(self._searcher, words, _schema(), "body")
        hits = []
        for score, row in ranked:
            document = self._ordered[row]
            snippet = _snippet(snippets, storable(document.body))
            hits.append(
                SearchHit(
                    document.id,
                    title=document.title,
                    kind=document.kind,
                    snippet=snippet,
                    score=-score,
                    updated=document.updated,
                )
            )
        return tuple(hits)


def _index(documents: Sequence[Document]) -> tantivy.Index:
    index = tantivy.Index(_schema())
    index.register_tokenizer("words", _analyzer())
    index.config_reader("manual")  # the default watches for commits from a thread of its own
    if documents:
        writer = index.writer(heap_size=_HEAP, num_threads=1)
        for document in documents:
            filters = {"kind": document.kind, **document.attributes}
            writer.add_document(
                tantivy.Document(
                    title=storable(document.title),
                    body=storable(document.body),
                    filter=[_filter(key, value) for key, value in filters.items()],
                )
            )
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
    return index


@banked("code", 1)
def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("title", tokenizer_name="words", index_option="freq")
    builder.add_text_field("body", tokenizer_name="words", index_option="freq")
    builder.add_text_field("filter", tokenizer_name="raw", index_option="basic")
    return builder.build()


@banked("code", 1)
def _analyzer() -> tantivy.TextAnalyzer:
    """Words in lower case and without accents, stop words dropped, the rest stemmed."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(41),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stopword("english"),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()


def _terms(query: str) -> list[str]:
    """The different words of a query, in its order."""
    return list(dict.fromkeys(_analyzer().analyze(storable(query[:_MAX_QUERY]))))[:MAX_TERMS]


def _any_of(terms: list[str]) -> tantivy.Query:
    schema = _schema()
    title = [tantivy.Query.term_query(schema, "title", term, "freq") for term in terms]
    body = [tantivy.Query.term_query(schema, "body", term, "freq") for term in terms]
    weighted = [tantivy.Query.boost_query(query, _TITLE_WEIGHT) for query in title]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in weighted + body])


def _with_filters(words: tantivy.Query, filters: Mapping[str, str]) -> tantivy.Query:
    """`words`, restricted; a filter adds nothing to the score."""
    if not filters:
        return words
    parts = [(tantivy.Occur.Must, words)]
    for key, value in sorted(filters.items()):
        exact = tantivy.Query.term_query(_schema(), "filter", _filter(key, value), "basic")
        parts.append((tantivy.Occur.Must, tantivy.Query.const_score_query(exact, 0.0)))
    return tantivy.Query.boolean_query(parts)


def _filter(key: str, value: str) -> str:
    return storable(f"{key}\x1f{value}")


def _snippet(generator: tantivy.SnippetGenerator, body: str) -> str:
    """About `SNIPPET` characters of `body` around the first matched word of its best passage."""
    best = generator.snippet_from_doc(tantivy.Document(body=body))
    passage, marked = best.fragment(), best.highlighted()
    middle = 0
    if marked:
        before = len(passage.encode()[: marked[0].start].decode())
        middle = body.index(passage) + before
    start = max(0, min(middle - SNIPPET // 3, len(body) - SNIPPET))
    if start:
        space = body.find(" ", start, middle)
        start = space + 1 if space >= 0 else middle
    end = min(len(body), start + SNIPPET)
    if end < len(body):
        space = body.rfind(" ", middle + 1, end + 1)
        end = space if space > start else end
    cut = " ".join(body[start:end].split())
    return ("…" if start else "") + cut + ("…" if end < len(body) else "")
