// The codes of errors for `catch`, each of the name that it has in `Code`. See `ErrorKind`.

extension ProcessError {
  /// ``Code/startedTwice``
  public static let startedTwice = ErrorKind<ProcessError> { $0.code == .startedTwice }
  /// ``Code/notStarted``
  public static let notStarted = ErrorKind<ProcessError> { $0.code == .notStarted }
  /// ``Code/notParent``
  public static let notParent = ErrorKind<ProcessError> { $0.code == .notParent }
  /// ``Code/closed``
  public static let closed = ErrorKind<ProcessError> { $0.code == .closed }
  /// ``Code/stillRunning``
  public static let stillRunning = ErrorKind<ProcessError> { $0.code == .stillRunning }
  /// ``Code/daemonHasNoChildren``
  public static let daemonHasNoChildren = ErrorKind<ProcessError> {
    $0.code == .daemonHasNoChildren
  }
  /// ``Code/joinsItself``
  public static let joinsItself = ErrorKind<ProcessError> { $0.code == .joinsItself }
  /// ``Code/closureNeedsFork``
  public static let closureNeedsFork = ErrorKind<ProcessError> { $0.code == .closureNeedsFork }
  /// ``Code/argumentEncoding``
  public static let argumentEncoding = ErrorKind<ProcessError> {
    if case .argumentEncoding = $0.code { true } else { false }
  }
  /// ``Code/startFailed``
  public static let startFailed = ErrorKind<ProcessError> {
    if case .startFailed = $0.code { true } else { false }
  }
  /// ``Code/program``
  public static let program = ErrorKind<ProcessError> {
    if case .program = $0.code { true } else { false }
  }
}

extension ProgramError {
  /// ``Code/notBootstrapped``
  public static let notBootstrapped = ErrorKind<ProgramError> { $0.code == .notBootstrapped }
  /// ``Code/startMethodIsSet``
  public static let startMethodIsSet = ErrorKind<ProgramError> {
    if case .startMethodIsSet = $0.code { true } else { false }
  }
  /// ``Code/severalThreads``
  public static let severalThreads = ErrorKind<ProgramError> {
    if case .severalThreads = $0.code { true } else { false }
  }
  /// ``Code/unknownTask``
  public static let unknownTask = ErrorKind<ProgramError> {
    if case .unknownTask = $0.code { true } else { false }
  }
  /// ``Code/otherTask``
  public static let otherTask = ErrorKind<ProgramError> {
    if case .otherTask = $0.code { true } else { false }
  }
  /// ``Code/noForkServer``
  public static let noForkServer = ErrorKind<ProgramError> {
    if case .noForkServer = $0.code { true } else { false }
  }
}
