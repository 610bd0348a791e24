import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Options of a map in a query, and what is said of those that are wrong.
struct MapQueryTests {
  private func read(_ query: String) throws -> MapSubmission {
    try MapQuery.submission(HTTPQuery(query), idempotencyKey: nil)
  }

  @Test func `a query says what a document does`() throws {
    let map = try read("task=square&star=true&chunksize=7&timeout=1.5&tags=a&tags=b&id=m&pool=p")
    #expect(map.task == "square" && map.isStar && map.chunkSize == 7 && map.pool == "p")
    #expect(map.id?.text == "m" && map.options?.tags == ["a", "b"])
    #expect(map.options?.timeout == 1_500 && map.items == nil)
  }

  @Test(arguments: [
    ("", "?task= is missing"), ("star=true", "?task= is missing"),
    ("task=", "?task= is wrong: a task's name has 1 to 200 characters; it was ''"),
    ("task=t&chunksize=x", "?chunksize= is wrong: a whole number from 1 to 1000000000; it was 'x'"),
    ("task=t&chunksize=0", "?chunksize= is wrong: a whole number from 1 to 1000000000; it was '0'"),
    ("task=t&star=yes", "?star= is wrong: true or false; it was 'yes'"),
    ("task=t&timeout=1m", "?timeout= is wrong: seconds, more than 0 and at most 31536000; it was"),
    ("task=t&max_attempts=1.5", "?max_attempts= is wrong: a whole number from 1 to 100; it was"),
    ("task=t&id=a/b", "?id= is wrong: an id is 1 to 64"),
    ("task=t&tags=", "?tags= is wrong: a tag"),
    ("task=t&encoding=x", "?encoding= is wrong: \"json\" or \"pickle\"; it was 'x'"),
  ])
  func `a mistake is one of the query, and no document is spoken of`(query: String, words: String) {
    let problem = #expect(throws: Problem.self) { try read(query) }
    #expect(problem?.status == 400 && problem?.code == .invalidRequest)
    #expect(problem?.detail.hasPrefix(words) == true, "\(problem?.detail ?? "")")
    #expect(problem?.detail.contains("byte") == false && problem?.mistakes == [])
  }
}
