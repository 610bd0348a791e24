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

  /// The streams that are kept.
  public enum Stream: String, CaseIterable, Sendable {
    case stdout, stderr
  }
}
