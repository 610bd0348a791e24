import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// The parts of a job's events that need no server.
@Suite struct JobEventsTests {
  @Test func `a cursor reads what it writes`() throws {
    var cursor = EventCursor()
    #expect(EventCursor(cursor.text) == cursor)
    cursor.version = .max
    cursor.begin(run: 1_795_288_603_635)
    (cursor.serial, cursor.stderr, cursor.stdout) = (.max, 7, 1 << 40)
    #expect(EventCursor(cursor.text) == cursor)
  }

  @Test(arguments: ["", "1", "1.2.3.4", "1.2.3.4.5.6", "a.2.3.4.5", "1.2.3.-4.5", "1..3.4.5"])
  func `what is no cursor is none`(text: String) {
    #expect(EventCursor(text) == nil)
  }

  @Test func `another run has news and logs of its own`() {
    var cursor = EventCursor("3.10.4.5.6")!
    cursor.begin(run: 10)
    #expect(cursor.serial == 4 && cursor.stderr == 5)
    cursor.begin(run: 11)
    #expect(cursor.text == "3.11.0.0.0")
  }

  @Test func `news are kept up to a bound, and what is missed is counted`() {
    var news = CallNews(run: 1)
    #expect(news.entries(after: 0).missed == 0 && news.entries(after: 0).entries.isEmpty)
    for number in 1...5 { news.append("item", "\(number)") }
    func texts(after serial: UInt64) -> [String] { news.entries(after: serial).entries.map(\.text) }
    #expect(texts(after: 0) == ["1", "2", "3", "4", "5"])
    #expect(texts(after: 3) == ["4", "5"])
    #expect(texts(after: 5) == [] && texts(after: 99) == [])
    let large = String(repeating: "x", count: 40_000)
    news.append("item", large)
    news.append("item", large)
    let (missed, entries) = news.entries(after: 3)
    #expect(missed == 3 && entries.map(\.serial) == [7])
    #expect(news.entries(after: 6).missed == 0)
    // One that is larger than the bound is kept by itself.
    news.append("item", String(repeating: "y", count: 1 << 20))
    #expect(news.entries.map(\.serial) == [8])
  }

  @Test func `a text is cut between characters`() {
    for (text, back) in [("", 0), ("a", 0), ("é", 0), ("a€", 0), ("👩", 0)] {
      #expect(UTF8Ends.unfinished(Array(text.utf8)) == back)
    }
    for text in ["é", "€", "👩"] {
      let bytes = Array(text.utf8)
      for count in 1..<bytes.count {
        #expect(UTF8Ends.unfinished([0x61] + bytes.prefix(count)) == count)
      }
    }
    // No beginning of anything: not held back for ever.
    #expect(UTF8Ends.unfinished([0x80, 0x80, 0x80, 0x80]) == 0)
  }

  @Test func `everybody is told every 15 s that the service is there`() {
    func instant(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }
    var followers = EventFollowers()
    let one = EventFollower(job: 1, cursor: EventCursor(), body: ResponseStream())
    let other = EventFollower(job: 1, cursor: EventCursor(), body: ResponseStream())
    #expect(followers.nextDeadline == nil)
    followers.add(one, at: instant(100))
    followers.add(other, at: instant(101))
    #expect(followers.nextDeadline == instant(115).nanoseconds)
    #expect(followers.popDue(at: instant(114)).isEmpty)
    #expect(
      followers.popDue(at: instant(115)).map(ObjectIdentifier.init) == [ObjectIdentifier(one)])
    #expect(followers.nextDeadline == instant(116).nanoseconds)
    followers.remove(other)
    #expect(followers.nextDeadline == instant(130).nanoseconds)
    #expect(followers.has(1))
    followers.remove(one)
    #expect(followers.isEmpty && followers.nextDeadline == nil)
  }
}
