import { PageHead } from '../../ui/page'

export default function UsersPage() {
  return (
    <>
      <PageHead title="Users" />
      <p>This page is being made.</p>
    </>
  )
}
