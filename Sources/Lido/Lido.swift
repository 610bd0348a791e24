import JobServer
public import Multiprocessing

/// The whole service with tasks of your own. To be the only statement of a synchronous `main`:
///
///     import Lido
///     import Multiprocessing
///
///     Lido.main(tasks: [
///       TaskDefinition<Int, Int>("square") { $0 * $0 }.erased
///     ])
///
/// Then `swift run YourProgram serve --listen 127.0.0.1:8080`. The same program is run as the
/// server, the fork server and every worker, so the list must be the same in each of them. Never
/// returns. An `async` main does not work: it starts threads before its first statement.
public func main(tasks: [AnyTask]) -> Never {
  ServiceProgram.main(tasks: tasks)
}
