import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Ids of requests, and of the submissions of a request with many.
@Suite struct RequestTableTests {
  private func bulk(_ count: Int) -> Server.BulkAnswer {
    Server.BulkAnswer(
      response: PendingResponse(),
      group: JobGroup(submissions: count, preferenceApplied: nil), wait: 0,
      beganAt: Instant(nanoseconds: 0))
  }

  @Test func `an id leads to its request, and is given again`() {
    var table = RequestTable()
    let responses = [PendingResponse(), PendingResponse()]
    let ids = responses.map { table.add(Server.Request(response: $0)) }
    #expect(Set(ids).count == 2 && !ids.contains(where: RequestTable.isItem))
    #expect(table.remove(ids[0])?.response === responses[0])
    #expect(table.remove(ids[0]) == nil)
    #expect(table.add(Server.Request(response: responses[0])) == ids[0])
    #expect(table.remove(ids[1])?.response === responses[1])
  }

  @Test func `each submission of many has an id that leads to its request and its place`() {
    var table = RequestTable()
    let bulks = [bulk(10_000), bulk(1), bulk(BulkReader.countMax)]
    let firsts = bulks.map { table.add($0) }
    var seen: Set<RequestID> = []
    for (first, bulk) in zip(firsts, bulks) {
      for index in bulk.group.items.indices {
        let id = RequestTable.item(index, of: first)
        #expect(RequestTable.isItem(id) && RequestTable.itemIndex(of: id) == index)
        #expect(table.bulk(of: id)?.group === bulk.group)
        seen.insert(id)
      }
    }
    #expect(seen.count == 20_001)
    table.removeBulk(of: RequestTable.item(9_999, of: firsts[0]))
    #expect(table.bulk(of: firsts[0]) == nil && table.bulk(of: firsts[1]) != nil)
    #expect(table.add(bulk(5)) == firsts[0])
  }
}
