import JSON

/// What the workers of a `LineWorkerPool` are, beside how many.
public struct LineWorkerSettings: Sendable {
  /// The program and its arguments. A bare name is found by the `PATH` of `environment`.
  public var arguments: [String]
  /// Its variables, each `NAME=value`; it gets no others but `LIDO_CHANNEL`.
  public var environment: [String] = []
  /// Where it starts; nil: where the fork server is.
  public var folder: String?
  /// What its first message calls the pool.
  public var name = ""
  /// The initializer that it is to run before it is ready, by a name that means something to it.
  public var initializer: String?
  /// What that is called with, a JSON array.
  public var initializerArguments = "[]"
  /// The path of the script that the initializer is in; nil: none.
  public var main: String?
  /// Whether calls may carry values in the pickle of Python.
  public var allowsPickle = false
  /// Whether calls may name the script of whoever submitted them.
  public var allowsMain = false
  /// How long a worker has from its start until it is ready, in nanoseconds.
  public var readyMax: UInt64 = 60_000_000_000
  /// How long a worker may leave what is written to it unread, in nanoseconds.
  public var stallMax: UInt64 = 30_000_000_000
  /// The longest result, in bytes of minified JSON; a longer one fails its call.
  public var resultBytesMax = 8 << 20
  /// Bytes that are kept of what a call writes to stdout, and as many of stderr.
  public var logBytesMax = 1 << 20
  /// Added to their niceness.
  public var nice: Int32 = 0
  /// For the kernel's out-of-memory killer: positive makes a worker die before the server.
  public var outOfMemoryAdjustment: Int32 = 0

  /// Workers that run this program.
  public init(arguments: [String]) {
    self.arguments = arguments
  }

  /// The longest line that is taken from a worker: a result, which may come with white space
  /// between its tokens, and what is around it.
  public var lineBytesMax: Int { 2 * resultBytesMax + (1 << 20) }

  /// The number of the worker's end of its channel.
  static let channelDescriptor: Int32 = 3
  /// What the first message and `ready` agree on.
  static let protocolVersion = 1

  /// The first line that a worker gets.
  func setup(slot: Int, callsMax: Int?) -> [UInt8] {
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    writer.name("setup")
    writer.beginObject()
    writer.member("protocol", integer: Self.protocolVersion)
    writer.member("pool", string: name)
    writer.member("slot", integer: slot)
    writer.name("initializer")
    if let initializer { writer.string(initializer) } else { writer.null() }
    writer.member("initargs", text: initializerArguments)
    writer.memberIfPresent("main", string: main)
    writer.member("encoding", string: allowsPickle ? "pickle" : "json")
    writer.member("allow_main", bool: allowsMain)
    writer.name("calls_max")
    if let callsMax { writer.integer(callsMax) } else { writer.null() }
    writer.member("result_bytes_max", integer: resultBytesMax)
    writer.member("line_bytes_max", integer: lineBytesMax)
    writer.endObject()
    writer.endObject()
    writer.raw("\n")
    return writer.bytes
  }
}
