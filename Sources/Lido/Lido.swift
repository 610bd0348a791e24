import JobServer
public import Multiprocessing

/// The whole service with tasks of your own, to be the only statement of a synchronous `main`:
///
///     import Lido
///     import Multiprocessing
///
///     @main
///     enum Program {
///       static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
///
///       static func main() {
///         Lido.main(tasks: [square])
///       }
///     }
///
/// Then `swift run YourProgram serve`, with every flag, variable and key of `lido serve`; `check`,
/// `snapshot` and `--help` are there, too. The same program is the server, its fork server and each
/// of the workers, so both lists must be the same in all of them. Never returns.
///
/// `initializers` are run by no job: a pool whose settings name one (`initializer`, `initargs`) has
/// each of its workers run it before the first call. One that throws breaks its pool when it has
/// failed three times for each process.
///
/// Nothing may start a thread before this call. An `async` main may have: that is found out, said,
/// and ends the program with 70 (EX_SOFTWARE). Two tasks of one name, or two initializers, end it
/// in the same way.
public func main(
  tasks: [any RegistrableTask], initializers: [any RegistrableTask] = []
) -> Never {
  ServiceProgram.main(tasks: tasks.map(\.erased), initializers: initializers.map(\.erased))
}
