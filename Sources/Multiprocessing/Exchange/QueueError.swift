import Glibc

/// A queue could not do what it was asked to.
public struct QueueError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public enum Code: Equatable, Sendable {
    /// It had no room for another item in time (`queue.Full`).
    case full
    /// It had no item in time (`queue.Empty`).
    case empty
    /// It was closed in this process, perhaps while the call waited (`ValueError`).
    case closed
    /// The item cannot be encoded. It took no place.
    case encoding
    /// The item is not of the queue's type. It is gone.
    case decoding
    /// The system refused, with this error number. The queue is as it was before.
    case system(Int32)
  }

  /// What went wrong.
  public let code: Code
  /// What exactly, where the code does not say it all; else empty.
  public let detail: String

  init(_ code: Code, _ detail: String = "") {
    self.code = code
    self.detail = detail
  }

  /// What happened, and what to do.
  public var description: String {
    switch code {
    case .full: "the queue is full"
    case .empty: "the queue is empty"
    case .closed: "the queue is closed in this process"
    case .encoding: "the item cannot be put into the queue: \(detail)"
    case .decoding: "the item is not of the queue's type: \(detail)"
    case .system(let number): "\(detail): \(String(cString: strerror(number)))"
    }
  }
}
