/// What a program wrote to its stderr, by offset: all of it up to a bound, beyond that its
/// beginning and its end, half of the bound each. What lies between is left out, visibly.
///
/// Offsets count all that was written, also what is left out, so they stay valid while the log
/// grows: whoever follows it reads on from where the last piece ended.
public struct ProgramLog: Equatable, Sendable {
  /// A part of a log.
  public struct Piece: Equatable, Sendable {
    /// As the program wrote them, not necessarily UTF-8, with a mark where something is left out.
    public var bytes: [UInt8]
    /// Where the next piece begins. The mark is not counted: the program did not write it.
    public var nextOffset: Int

    /// A piece that was made elsewhere.
    public init(bytes: [UInt8], nextOffset: Int) {
      self.bytes = bytes
      self.nextOffset = nextOffset
    }
  }

  /// The most bytes that are kept; at least 2.
  public let bytesMax: Int
  /// How many bytes the program has written.
  public private(set) var count = 0
  private var head: [UInt8] = []
  /// What follows the head, or the last part of it: a ring once it is full.
  private var tail: [UInt8] = []
  /// Where the ring begins.
  private var tailStart = 0

  private var headMax: Int { bytesMax - tailMax }
  private var tailMax: Int { bytesMax / 2 }

  /// An empty log.
  public init(bytesMax: Int) {
    precondition(bytesMax >= 2, "a log keeps a beginning and an end")
    self.bytesMax = bytesMax
  }

  /// What is kept: the beginning, and the end of what was written after it.
  public var kept: (head: [UInt8], tail: [UInt8]) {
    var end: [UInt8] = []
    appendTail(from: 0, tail.count, to: &end)
    return (head, end)
  }

  /// Equal when the same is kept of the same number of bytes.
  public static func == (left: ProgramLog, right: ProgramLog) -> Bool {
    left.count == right.count && left.bytesMax == right.bytesMax
      && left.read(from: 0) == right.read(from: 0)
  }

  /// The offsets of what is left out; empty if nothing is.
  public var leftOut: Range<Int> { head.count..<(count - tail.count) }

  /// What stands in place of `count` bytes that are left out.
  public static func mark(leavingOut count: Int) -> String {
    "\n[... \(count) bytes left out ...]\n"
  }

  /// Takes what the program wrote next.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    count += bytes.count
    let first = min(headMax - head.count, bytes.count)
    if first > 0 { head.append(contentsOf: bytes[..<first]) }
    // Of more than the ring holds only the end stays.
    let rest = bytes[max(first, bytes.count - tailMax)...]
    let growth = min(tailMax - tail.count, rest.count)
    if growth > 0 { tail.append(contentsOf: rest.prefix(growth)) }
    overwrite(with: UnsafeRawBufferPointer(rebasing: rest.dropFirst(growth)))
  }

  /// Puts `bytes`, no more than the ring holds, in place of its oldest ones.
  private mutating func overwrite(with bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    let start = tailStart
    tail.withUnsafeMutableBytes { ring in
      let first = min(ring.count - start, bytes.count)
      UnsafeMutableRawBufferPointer(rebasing: ring[start..<start + first])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<first]))
      UnsafeMutableRawBufferPointer(rebasing: ring[..<(bytes.count - first)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first...]))
    }
    tailStart = (start + bytes.count) % tail.count
  }

  /// At most `limit` bytes from `offset` on. Where that lies in, or leads into, what is left out,
  /// a mark says how much is missing. With an offset beyond the end the piece is empty.
  ///
  /// The end of a log, for an error message: `log.read(from: log.count - 4096)`.
  public func read(from offset: Int, atMost limit: Int = .max) -> Piece {
    var piece = Piece(bytes: [], nextOffset: min(max(offset, 0), count))
    var room = max(limit, 0)
    if piece.nextOffset < head.count {
      let taken = head[piece.nextOffset...].prefix(room)
      piece.bytes += taken
      piece.nextOffset += taken.count
      room -= taken.count
    }
    guard room > 0, piece.nextOffset >= head.count else { return piece }
    if piece.nextOffset < leftOut.upperBound {
      let mark = Self.mark(leavingOut: leftOut.upperBound - piece.nextOffset)
      piece.bytes += Array(mark.utf8)
      piece.nextOffset = leftOut.upperBound
    }
    let place = piece.nextOffset - leftOut.upperBound
    let taken = min(room, tail.count - place)
    appendTail(from: place, taken, to: &piece.bytes)
    piece.nextOffset += taken
    return piece
  }

  /// Appends `length` bytes of the ring, the first of them `place` after its oldest.
  private func appendTail(from place: Int, _ length: Int, to bytes: inout [UInt8]) {
    guard length > 0 else { return }
    let start = (tailStart + place) % tail.count
    let first = min(length, tail.count - start)
    bytes += tail[start..<start + first]
    bytes += tail[..<(length - first)]
  }
}
