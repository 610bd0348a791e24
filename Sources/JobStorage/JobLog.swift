/// What was kept of what a job's process wrote to one of its streams: all of it, or its beginning
/// and its end.
public struct JobLog: Equatable, Sendable {
  /// How many bytes were written, those that were left out included.
  public var count: Int
  /// The beginning.
  public var head: [UInt8]
  /// The end; what lies between the two is left out.
  public var tail: [UInt8]

  /// Makes a log. `count` is at least what `head` and `tail` hold.
  public init(count: Int, head: [UInt8], tail: [UInt8]) {
    precondition(count >= head.count + tail.count, "a log holds more than was written")
    self.count = count
    self.head = head
    self.tail = tail
  }

  /// A part of a log: of its beginning, of its end, or of both.
  public struct Piece: Equatable, Sendable {
    /// Where it begins.
    public var offset: Int
    /// How many bytes were written in all.
    public var count: Int
    /// What lies in the beginning.
    public var head: [UInt8] = []
    /// How many bytes are left out between the two, or before `tail`.
    public var leftOut = 0
    /// What lies in the end.
    public var tail: [UInt8] = []

    /// An empty piece.
    init(offset: Int, count: Int) {
      self.offset = offset
      self.count = count
    }

    /// Where the next piece begins.
    public var nextOffset: Int { offset + head.count + leftOut + tail.count }
  }

  /// The streams that are kept.
  public enum Stream: String, CaseIterable, Sendable {
    case stdout, stderr
  }
}
