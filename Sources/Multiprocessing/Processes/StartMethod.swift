/// How a worker process comes into being. The names are CPython's.
public enum StartMethod: String, CaseIterable, Sendable {
  /// A fork of the fork server, which has one thread and has touched nothing: the fastest, and
  /// sound because no lock can be held in it. The default.
  case forkserver
  /// A new execution of this program (`/proc/self/exe`): the cleanest, at the price of an exec and
  /// the dynamic linking of the Swift runtime.
  case spawn
  /// A fork of the calling process itself. Sound only while that has one thread, and so refused by
  /// the service, whose process is not to be forked.
  case fork
}
