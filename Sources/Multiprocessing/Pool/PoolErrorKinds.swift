// The codes of errors for `catch`, each of the name that it has in `Code`. See `ErrorKind`.

extension PoolError {
  /// ``Code/notRunning``
  public static let notRunning = ErrorKind<PoolError> { $0.code == .notRunning }
  /// ``Code/stillRunning``
  public static let stillRunning = ErrorKind<PoolError> { $0.code == .stillRunning }
  /// ``Code/terminated``
  public static let terminated = ErrorKind<PoolError> { $0.code == .terminated }
  /// ``Code/workerLost``
  public static let workerLost = ErrorKind<PoolError> {
    if case .workerLost = $0.code { true } else { false }
  }
  /// ``Code/workerExited``
  public static let workerExited = ErrorKind<PoolError> {
    if case .workerExited = $0.code { true } else { false }
  }
  /// ``Code/initializerFailed``
  public static let initializerFailed = ErrorKind<PoolError> {
    if case .initializerFailed = $0.code { true } else { false }
  }
  /// ``Code/noWorkers``
  public static let noWorkers = ErrorKind<PoolError> {
    if case .noWorkers = $0.code { true } else { false }
  }
  /// ``Code/invalidArgument``
  public static let invalidArgument = ErrorKind<PoolError> {
    if case .invalidArgument = $0.code { true } else { false }
  }
  /// ``Code/argumentEncoding``
  public static let argumentEncoding = ErrorKind<PoolError> {
    if case .argumentEncoding = $0.code { true } else { false }
  }
  /// ``Code/notReady``
  public static let notReady = ErrorKind<PoolError> { $0.code == .notReady }
  /// ``Code/joinInCallback``
  public static let joinInCallback = ErrorKind<PoolError> { $0.code == .joinInCallback }
  /// ``Code/otherProcess``
  public static let otherProcess = ErrorKind<PoolError> { $0.code == .otherProcess }
}

extension RemoteError {
  /// ``Code/raised``
  public static let raised = ErrorKind<RemoteError> { $0.code == .raised }
  /// ``Code/argumentDecoding``
  public static let argumentDecoding = ErrorKind<RemoteError> { $0.code == .argumentDecoding }
  /// ``Code/resultEncoding``
  public static let resultEncoding = ErrorKind<RemoteError> { $0.code == .resultEncoding }
  /// ``Code/resultTooLarge``
  public static let resultTooLarge = ErrorKind<RemoteError> { $0.code == .resultTooLarge }
  /// ``Code/resultDecoding``
  public static let resultDecoding = ErrorKind<RemoteError> { $0.code == .resultDecoding }
}
