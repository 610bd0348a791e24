import DequeModule

/// What a reader of a map was sent lately.
///
/// Nobody tells the service how far a client has read: what was sent lies in a buffer here, in the
/// kernel of either side, or in the client's own. So a line counts as received once much has been
/// sent after it, more than those hold; what was received may be dropped, what was not is there for
/// `after=` when the client comes again.
struct MapTrail {
  /// The end of a chunk, and what had been sent by then.
  private struct Mark {
    let line: Int
    let sentBytes: Int
    let heldBytes: Int
  }

  /// Marks are so far apart at least that there are about so many of them.
  private static let marksMax = 64

  /// Bytes of lines after which those before count as received.
  private let sentMax: Int
  /// Bytes that the chunks of those lines cost, likewise: many small chunks are few bytes of lines,
  /// which also come slowly.
  private let heldMax: Int
  private var sentBytes = 0
  private var heldBytes = 0
  /// Oldest first.
  private var marks: Deque<Mark> = []
  /// The first lines, of which the client has received all.
  private(set) var received: Int

  /// How many marks there are; for tests.
  var markCount: Int { marks.count }

  /// - Parameter received: the lines before the first that will be sent.
  init(sentMax: Int, heldMax: Int, received: Int) {
    self.sentMax = sentMax
    self.heldMax = heldMax
    self.received = received
  }

  /// So many bytes of lines were sent.
  mutating func send(_ bytes: Int) { sentBytes += bytes }

  /// All lines of a chunk were sent, which end before `line`; it costs so many bytes while it is
  /// held.
  mutating func end(before line: Int, costing bytes: Int) {
    heldBytes += bytes
    note(line)
    while let first = marks.first,
      sentBytes - first.sentBytes >= sentMax || heldBytes - first.heldBytes >= heldMax
    {
      received = first.line
      marks.removeFirst()
    }
  }

  private mutating func note(_ line: Int) {
    if let last = marks.last, sentBytes - last.sentBytes < sentMax / MapTrail.marksMax,
      heldBytes - last.heldBytes < heldMax / MapTrail.marksMax
    {
      return
    }
    marks.append(Mark(line: line, sentBytes: sentBytes, heldBytes: heldBytes))
  }
}
