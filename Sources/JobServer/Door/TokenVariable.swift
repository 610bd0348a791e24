import Glibc

/// The environment variable that holds tokens. Whoever runs a process of ours may read its
/// environment, in the process itself or in `/proc/PID/environ`, and every child inherits it: so it
/// is taken out before there is a child, and overwritten where it lay.
///
/// It is no `Setting`: there is no flag for it, since everybody may read the arguments of a
/// process, and no key, since a configuration file is passed around.
enum TokenVariable {
  /// The variable's name.
  static let name = "LIDO_TOKENS"

  /// Takes the variable out of an environment, and answers the tokens that it held, or what is
  /// wrong with them; nil when it is not set. Of several of that name the first counts, as for
  /// getenv(3), and all are removed.
  ///
  /// Only while the process has one thread: another could be reading the environment.
  static func take(
    from environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  ) -> Result<TokenSet, SettingError>? {
    var tokens: Result<TokenSet, SettingError>?
    var kept = environment
    var next = environment
    while let entry = next.pointee {
      next += 1
      guard let value = value(of: entry) else {
        kept.pointee = entry
        kept += 1
        continue
      }
      if tokens == nil {
        tokens = Result { () throws(SettingError) in try TokenReader.variable(value) }
      }
      explicit_bzero(entry, strlen(entry))
    }
    kept.pointee = nil
    return tokens
  }

  /// What follows `NAME=`; nil for another variable.
  private static func value(
    of entry: UnsafeMutablePointer<CChar>
  ) -> UnsafeBufferPointer<UInt8>? {
    let prefix = name + "="
    let length = prefix.utf8.count
    guard strncmp(entry, prefix, length) == 0 else { return nil }
    let start = UnsafeRawPointer(entry + length).assumingMemoryBound(to: UInt8.self)
    return UnsafeBufferPointer(start: start, count: strlen(entry + length))
  }
}
