/// What the workers of a pool are, beside how many.
public struct WorkerSettings: Sendable {
  /// How they come into being.
  public var startMethod = StartMethod.forkserver
  /// The initializer that each runs before its first call, by its name in the `TaskRegistry`.
  public var initializer: String?
  /// What it is called with, a JSON array.
  public var initializerArguments = "[]"
  /// The descriptors that its argument carries; they stay the owner's, and open for as long as
  /// workers are started. At most `DescriptorTransfer.descriptorsMax`.
  var initializerDescriptors: [Int32] = []
  /// The process whose program they are a part of; nil: each is on its own.
  var owner: PoolOwner?
  /// The longest result, in bytes of JSON; a longer one fails the call with `output_limit`.
  public var resultBytesMax = 8 << 20
  /// Most open descriptors of a worker while it runs a call of the task of this name (names of at
  /// most 255 bytes); see `OpenFileLimit`.
  public var openFilesMax: [String: UInt32] = [:]
  /// Added to their niceness.
  public var nice: Int32 = 0
  /// For the kernel's out-of-memory killer: positive makes a worker die before the server.
  public var outOfMemoryAdjustment: Int32 = 0

  /// Workers by default.
  public init() {}
}
