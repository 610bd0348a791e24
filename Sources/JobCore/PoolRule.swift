/// What the configuration allows the submissions to one pool.
public struct PoolRule: Equatable, Sendable {
  /// Whether values may travel in the pickle of Python.
  public var allowsPickle: Bool
  /// Whether a submission may name the script that its task is in.
  public var allowsMain: Bool
  /// The most bytes of arguments of one job; nil: no bound of its own.
  public var argumentBytesMax: Int?

  /// Makes a rule.
  public init(
    allowsPickle: Bool = false, allowsMain: Bool = false, argumentBytesMax: Int? = nil
  ) {
    self.allowsPickle = allowsPickle
    self.allowsMain = allowsMain
    self.argumentBytesMax = argumentBytesMax
  }

  /// Why a job with these options, and so many bytes of arguments, cannot go to the pool `name`;
  /// nil: it can.
  func refusal(
    of options: JobOptions?, argumentBytes bytes: Int, pool name: String
  ) -> Refusal? {
    if options?.encoding == .pickle, !allowsPickle { return .pickleNotAllowed(pool: name) }
    if options?.main != nil, !allowsMain { return .mainNotAllowed(pool: name) }
    if let most = argumentBytesMax, bytes + (options?.kwargs.utf8.count ?? 0) > most {
      return .argumentsTooLarge(pool: name, bytesMax: most)
    }
    return nil
  }
}
