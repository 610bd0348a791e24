import Glibc

/// A connection could not do what it was asked to.
public struct ConnectionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public enum Code: Equatable, Sendable {
    /// All copies of the other end are closed, and everything that they sent was received
    /// (`EOFError`).
    case endOfFile
    /// All copies of the other end are closed: nobody can receive (`BrokenPipeError`).
    case brokenPipe
    /// This connection was closed in this process, perhaps while the call waited.
    case closed
    /// This end of a one-way pipe only receives.
    case readOnly
    /// This end of a one-way pipe only sends.
    case writeOnly
    /// The buffer is too small for the message, which is here whole. The connection goes on.
    case bufferTooShort(message: [UInt8])
    /// The message is longer than asked for, this many bytes. It is gone; the connection goes on.
    case messageTooLong(Int)
    /// An argument that makes no sense.
    case invalidArgument
    /// A message of another kind came: a value for bytes, or the like. It is gone.
    case wrongKind
    /// The message that came carries no descriptor.
    case noDescriptor
    /// The value cannot be encoded. Nothing was sent.
    case encoding
    /// The message is no value of the type asked for. It is gone.
    case decoding
    /// The system refused, with this error number.
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
    case .endOfFile: "the other end is closed, and everything that it sent was received"
    case .brokenPipe: "the other end is closed: nobody can receive what is sent"
    case .closed: "the connection is closed in this process"
    case .readOnly: "this end of the pipe only receives: send at the other one"
    case .writeOnly: "this end of the pipe only sends: receive at the other one"
    case .bufferTooShort(let message):
      "the buffer is too short for a message of \(message.count) bytes, which is in this error"
    case .messageTooLong(let count): "a message of \(count) bytes is longer than was asked for"
    case .invalidArgument: detail
    case .wrongKind: "what came cannot be received in this way: \(detail)"
    case .noDescriptor: "the message that came carries no descriptor: send it by sendHandle"
    case .encoding: "the value cannot be sent: \(detail)"
    case .decoding: "what came is no such value: \(detail)"
    case .system(let number):
      "\(detail): \(String(cString: strerror(number)))"
    }
  }
}
