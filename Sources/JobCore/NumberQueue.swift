import DequeModule

/// Numbers of jobs in a line, in pieces of a few hundred.
///
/// An array or a deque of a million numbers keeps its caller for milliseconds whenever it grows and
/// never shrinks; this grows by a piece and gives each back once it is through. Entries that hold
/// no more are taken out a piece at a time, too.
struct NumberQueue: Sendable {
  /// Entries of a piece that is full.
  static let pieceSize = 512

  private var pieces: Deque<ContiguousArray<JobNumber>> = []
  /// Entries of the first piece that are gone.
  private var gone = 0
  /// The piece that is swept next.
  private var sweepNext = 0
  /// How many entries there are.
  private(set) var count = 0

  /// The entry at the front.
  var first: JobNumber? {
    // Of the first piece at least one entry is left, unless nothing stands in line.
    count > 0 ? pieces[0][gone] : nil
  }

  /// Every entry, from the front.
  var entries: some Sequence<JobNumber> { pieces.joined().dropFirst(gone) }

  /// Adds an entry at the back.
  mutating func append(_ number: JobNumber) {
    if pieces.last.map({ $0.count >= NumberQueue.pieceSize }) ?? true {
      var piece = ContiguousArray<JobNumber>()
      piece.reserveCapacity(NumberQueue.pieceSize)
      pieces.append(piece)
    }
    pieces[pieces.count - 1].append(number)
    count += 1
  }

  /// Takes the entry at the front, which must be there.
  mutating func removeFirst() {
    precondition(count > 0, "nothing stands in line")
    count -= 1
    gone += 1
    // The only piece is used up before it begins anew: a line of few comes to its end all the time.
    if gone == pieces[0].count, pieces.count > 1 || gone >= NumberQueue.pieceSize {
      drop(piece: 0)
    }
  }

  /// Puts an entry before the first one for which `isAfter` answers true, or at the back.
  mutating func insert(_ number: JobNumber, beforeFirst isAfter: (JobNumber) -> Bool) {
    guard let (piece, place) = place(where: isAfter) else { return append(number) }
    count += 1
    if piece == 0, gone > 0 { return fillGap(number, before: place) }
    pieces[piece].insert(number, at: place)
    guard pieces[piece].count >= 2 * NumberQueue.pieceSize else { return }
    let second = ContiguousArray(pieces[piece][NumberQueue.pieceSize...])
    pieces[piece].removeLast(second.count)
    pieces.insert(second, at: piece + 1)
    if sweepNext > piece { sweepNext += 1 }
  }

  /// Puts an entry into the first piece, where there is room at the front: a piece never grows by
  /// what is taken and put back again and again.
  private mutating func fillGap(_ number: JobNumber, before place: Int) {
    for index in gone..<place { pieces[0][index - 1] = pieces[0][index] }
    pieces[0][place - 1] = number
    gone -= 1
  }

  /// Takes an entry out, wherever it stands; nothing happens if it does not.
  mutating func remove(_ number: JobNumber) {
    guard let (piece, place) = place(where: { $0 == number }) else { return }
    pieces[piece].remove(at: place)
    count -= 1
    if pieces[piece].count == (piece == 0 ? gone : 0) { drop(piece: piece) }
  }

  /// Takes the entries of one piece out that hold no more, and answers how many. The next call does
  /// the next piece, after the last the first.
  mutating func sweepPiece(isStale: (JobNumber) -> Bool) -> Int {
    guard count > 0 else { return 0 }
    if sweepNext >= pieces.count { sweepNext = 0 }
    let piece = sweepNext
    let before = pieces[piece].count
    if piece == 0 {
      pieces[0].removeSubrange(..<gone)
      gone = 0
    }
    let held = pieces[piece].count
    pieces[piece].removeAll(where: isStale)
    let taken = held - pieces[piece].count
    count -= taken
    sweepNext = piece + 1
    if pieces[piece].isEmpty {
      drop(piece: piece)
    } else if piece > 0, pieces[piece].count < before,
      pieces[piece - 1].count + pieces[piece].count <= NumberQueue.pieceSize
    {
      // Two that are half empty become one, or a long line of few would hold all its pieces.
      pieces[piece - 1].append(contentsOf: pieces[piece])
      drop(piece: piece)
    }
    return taken
  }

  private func place(where holds: (JobNumber) -> Bool) -> (piece: Int, place: Int)? {
    for piece in pieces.indices {
      let start = piece == 0 ? gone : 0
      if let place = pieces[piece][start...].firstIndex(where: holds) { return (piece, place) }
    }
    return nil
  }

  /// The last piece stays, empty: a line of few would have four KiB made for each piece that it has
  /// used up.
  private mutating func drop(piece: Int) {
    if pieces.count == 1 {
      pieces[0].removeAll(keepingCapacity: true)
      gone = 0
    } else if piece == 0 {
      pieces.removeFirst()
      gone = 0
    } else {
      pieces.remove(at: piece)
    }
    if sweepNext > piece { sweepNext -= 1 }
  }
}

extension NumberQueue: Equatable {
  /// Equal when the same numbers stand in the same order, whatever the pieces.
  static func == (lhs: NumberQueue, rhs: NumberQueue) -> Bool {
    lhs.count == rhs.count && lhs.entries.elementsEqual(rhs.entries)
  }
}
